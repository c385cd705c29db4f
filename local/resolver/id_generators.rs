//! Generates UUIDs, ULIDs and KSUIDs from a time and random bits.
use jiff::Timestamp;

/// A version 4 UUID.
pub fn uuid(random: u128) -> String {
    uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().to_string()
}

/// 26 characters of Crockford's base 32: 48 bits of milliseconds, 80 random bits.
pub fn ulid(now: Timestamp, random: u128) -> String {
    let milliseconds = u128::try_from(now.as_millisecond()).unwrap_or_default();
    base32(milliseconds << 80 | random >> 48, b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", 26)
}

/// 27 characters of base 62: 32 bits of seconds since 2014-05-13T16:53:20Z, 128 random bits.
pub fn ksuid(now: Timestamp, random: u128) -> String {
    const EPOCH: i64 = 1_400_000_000;
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let seconds = u32::try_from(now.as_second() - EPOCH).unwrap_or_default();
    let mut words: Vec<u32> = vec![seconds];
    words.extend((0..4).rev().map(|word| (random >> (32 * word)) as u32));
    let mut text: Vec<u8> = (0..27).map(|_| ALPHABET[divide_in_place(&mut words, 62) as usize]).collect();
    text.reverse();
    String::from_utf8(text).unwrap_or_default()
}

fn base32(mut number: u128, alphabet: &[u8; 32], length: usize) -> String {
    let mut text = vec![b'0'; length];
    for digit in text.iter_mut().rev() {
        *digit = alphabet[(number % 32) as usize];
        number /= 32;
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Divides a big-endian number and returns the remainder.
fn divide_in_place(words: &mut [u32], divisor: u64) -> u64 {
    let mut remainder = 0;
    for word in words {
        let value = remainder << 32 | u64::from(*word);
        *word = (value / divisor) as u32;
        remainder = value % divisor;
    }
    remainder
}
