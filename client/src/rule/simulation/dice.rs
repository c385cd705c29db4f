//! Chance that repeats.

const PIECES: [&str; 8] = ["Hello", " ", "👩‍👩‍👧", "\r\n", "שלום", "é", "\u{1}", "…and more"];

/// Knuth's generator: the same seed, the same conversation.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn text(&mut self) -> String {
        (0..=self.below(3)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }
}
