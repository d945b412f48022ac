#![no_main]

pullfuse_fuzz::target!(recording);
