#![no_main]

pullfuse_fuzz::target!(config);
