"""One room and its clients' conversations, without sockets and without a clock."""
