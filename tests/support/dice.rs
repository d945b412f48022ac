//! Dice that fall alike in every run.

/// SplitMix64: the same damage in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, most: usize) -> usize {
        (self.roll() % most.max(1) as u64) as usize
    }
}

/// Few, or as many as `PULLFUSE_FUZZ_ROUNDS` says.
pub fn rounds() -> u64 {
    std::env::var("PULLFUSE_FUZZ_ROUNDS").map_or(300, |rounds| rounds.parse().unwrap())
}
