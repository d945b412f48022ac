#![no_main]

pullfuse_fuzz::target!(pod);
