#![no_main]

pullfuse_fuzz::target!(message);
