"""What `refserver serve` runs: sockets, clocks, credentials, metrics and logs."""
