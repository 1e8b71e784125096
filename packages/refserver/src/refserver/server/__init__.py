"""What `refserver serve` runs: sockets, clocks, credentials, figures and logs."""
