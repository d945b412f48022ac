use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

type Header = (Vec<u8>, Vec<u8>);
type Seen = (Option<Vec<u8>>, Option<Vec<u8>>);

fn read(table: &mut Table, block: &[u8]) -> Result<Vec<Seen>, HpackError> {
    let mut seen = Vec::new();
    table.decode(block, |Field { name, value }| {
        seen.push((name.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec)));
    })?;
    Ok(seen)
}

fn whole() -> Table {
    let mut table = Table::new();
    table.start();
    table
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn text(fields: &[(&str, &str)]) -> Vec<Seen> {
    fields.iter().map(|(n, v)| (Some(n.as_bytes().to_vec()), Some(v.as_bytes().to_vec()))).collect()
}

#[test]
fn the_requests_of_rfc_7541_appendix_c_4() {
    let mut table = whole();
    let first = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ];
    let block = hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff");
    assert_eq!(read(&mut table, &block).unwrap(), text(&first));
    let mut second = first.to_vec();
    second.push(("cache-control", "no-cache"));
    assert_eq!(read(&mut table, &hex("8286 84be 5886 a8eb 1064 9cbf")).unwrap(), text(&second));
    let third = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ];
    let block = hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
    assert_eq!(read(&mut table, &block).unwrap(), text(&third));
    assert_eq!(table.size, 164);
}

#[test]
fn the_responses_of_rfc_7541_appendix_c_6_evict() {
    let mut table = whole();
    table.max = 256;
    let first =
        hex("4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 \
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3");
    let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    let location = ("location", "https://www.example.com");
    let private = ("cache-control", "private");
    assert_eq!(
        read(&mut table, &first).unwrap(),
        text(&[(":status", "302"), private, date, location])
    );
    assert_eq!(table.size, 222);
    assert_eq!(
        read(&mut table, &hex("4883 640e ffc1 c0bf")).unwrap(),
        text(&[(":status", "307"), private, date, location])
    );
    assert_eq!((table.size, table.entries.len()), (222, 4));
    // `:status: 302` is gone.
    assert_eq!(read(&mut table, &[0x80 | 66]), Err(HpackError::Index));
}

#[test]
fn what_is_older_than_the_join_is_unknown_and_the_rest_is_not() {
    let mut table = Table::new();
    assert_eq!(read(&mut table, &[0x80 | 62]).unwrap(), [(None, None)]);
    // A literal whose name is index 70, inserted.
    let fields = read(&mut table, &[0x7f, 7, 1, b'5']).unwrap();
    assert_eq!(fields, [(None, Some(b"5".to_vec()))]);
    let fields = read(&mut table, &[0x80 | 62, 0x80 | 63]).unwrap();
    assert_eq!(fields, [(None, Some(b"5".to_vec())), (None, None)]);
}

#[test]
fn errors_are_told_and_nothing_is_allocated_for_a_length() {
    for (block, error) in [
        (&[0x80][..], HpackError::Index),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], HpackError::Number),
        (&[0x40, 0x7f, 0xff, 0xff, 0x7f], HpackError::Truncated),
        (&[0x40], HpackError::Truncated),
        (&[0x82, 0x20], HpackError::Size),
        (&[0x3f, 0xe2, 0x1f], HpackError::Size),
        (&[0x42, 0x84, 0xff, 0xff, 0xff, 0xff], HpackError::Huffman),
        (&[0xbe], HpackError::Index),
    ] {
        assert_eq!(read(&mut whole(), block), Err(error), "{block:x?}");
    }
    let mut table = whole();
    table.allow(4097);
    assert_eq!(read(&mut table, &[0x3f, 0xe2, 0x1f]).unwrap(), []);
    assert_eq!(table.max, 4097);
}

#[test]
fn every_byte_survives_the_huffman_code() {
    for byte in 0..=u8::MAX {
        let plain = [byte, b'a', byte];
        let mut block = vec![0x0f, 0x00];
        push_text(&mut block, &plain, true);
        let seen = read(&mut whole(), &block).unwrap();
        assert_eq!(seen[0].1.as_deref(), Some(&plain[..]), "{byte}");
    }
}

/// An encoder that writes whatever the RFC allows.
struct Encoder {
    entries: VecDeque<Header>,
    max: usize,
    /// For each header of the last block whether it was inserted.
    inserted: Vec<bool>,
}

/// What the encoder is to do.
#[derive(Debug, Clone)]
enum Order {
    /// Insert, or refer to what is there.
    Header {
        header: Header,
        insert: bool,
        huffman: bool,
        reuse: bool,
    },
    Resize(usize),
}

impl Encoder {
    fn evict(&mut self) {
        let size = |e: &VecDeque<Header>| -> usize {
            e.iter().map(|(n, v)| n.len() + v.len() + ENTRY_COST).sum()
        };
        while size(&self.entries) > self.max {
            self.entries.pop_back();
        }
    }

    fn header(&mut self, block: &mut Vec<u8>, order: &Order) {
        let Order::Header { header, insert, huffman, reuse } = order else { return };
        let whole = self.entries.iter().position(|known| known == header);
        if let (Some(at), true) = (whole, reuse) {
            self.inserted.push(false);
            return push_number(block, 0x80, 7, at + FIXED.len() + 1);
        }
        let named = self.entries.iter().position(|(name, _)| *name == header.0);
        let index = named.filter(|_| *reuse).map_or(0, |at| at + FIXED.len() + 1);
        // As every encoder does, nothing is inserted that the table cannot hold.
        let fits = header.0.len() + header.1.len() + ENTRY_COST <= self.max;
        let insert = *insert && fits;
        self.inserted.push(insert);
        push_number(block, if insert { 0x40 } else { 0 }, if insert { 6 } else { 4 }, index);
        if index == 0 {
            push_text(block, &header.0, *huffman);
        }
        push_text(block, &header.1, *huffman);
        if insert {
            self.entries.push_front(header.clone());
            self.evict();
        }
    }

    fn block(&mut self, orders: &[Order]) -> (Vec<u8>, Vec<bool>) {
        let mut block = Vec::new();
        self.inserted.clear();
        for order in orders {
            if let Order::Resize(max) = order {
                push_number(&mut block, 0x20, 5, *max);
                self.max = *max;
                self.evict();
            }
        }
        orders.iter().for_each(|order| self.header(&mut block, order));
        (block, self.inserted.clone())
    }
}

fn push_number(block: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        return block.push(first | value as u8);
    }
    block.push(first | most as u8);
    let mut rest = value - most;
    while rest > 127 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

fn push_text(block: &mut Vec<u8>, text: &[u8], huffman: bool) {
    let mut coded = text.to_vec();
    if huffman {
        coded.clear();
        httlib_huffman::encode(text, &mut coded).unwrap();
    }
    push_number(block, if huffman { 0x80 } else { 0 }, 7, coded.len());
    block.extend(coded);
}

fn order() -> impl Strategy<Value = Order> {
    let name = select(vec![&b"grpc-status"[..], b"grpc-message", b"content-type", b"x", b"y"]);
    let value = prop_oneof![
        3 => select(vec![b"0".to_vec(), b"5".to_vec(), Vec::new()]),
        2 => vec(any::<u8>(), 0..60),
        1 => vec(any::<u8>(), 0..2000),
    ];
    let header = (name, value, any::<bool>(), any::<bool>(), prop::bool::weighted(0.8)).prop_map(
        |(name, value, insert, huffman, reuse)| Order::Header {
            header: (name.to_vec(), value),
            insert,
            huffman,
            reuse,
        },
    );
    prop_oneof![30 => header, 1 => (0_usize..4096).prop_map(Order::Resize)]
}

proptest! {
    #[test]
    fn a_late_joiner_is_never_wrong(blocks in vec(vec(order(), 0..6), 1..30)) {
        let max = DEFAULT_SIZE;
        let mut encoder = Encoder { entries: VecDeque::new(), max, inserted: Vec::new() };
        let coded: Vec<_> = blocks.iter().map(|block| encoder.block(block)).collect();
        let headers = |block: &[Order]| -> Vec<Header> {
            let header = |order: &Order| match order {
                Order::Header { header, .. } => Some(header.clone()),
                Order::Resize(_) => None,
            };
            block.iter().filter_map(header).collect()
        };
        let truth: Vec<Vec<Header>> = blocks.iter().map(|block| headers(block)).collect();
        let mut table = whole();
        for ((block, _), truth) in coded.iter().zip(&truth) {
            let known = |(name, value): &Header| (Some(name.clone()), Some(value.clone()));
            let truth: Vec<Seen> = truth.iter().map(known).collect();
            prop_assert_eq!(read(&mut table, block).unwrap(), truth);
        }
        let resized = blocks.iter().flatten().any(|order| matches!(order, Order::Resize(_)));
        for join in 1..coded.len() {
            let mut table = Table::new();
            let mut inserted: Vec<&Header> = Vec::new();
            for ((block, flags), truth) in coded.iter().zip(&truth).skip(join) {
                let seen = read(&mut table, block).unwrap();
                prop_assert_eq!(seen.len(), truth.len());
                for ((seen, header), inserts) in seen.iter().zip(truth).zip(flags) {
                    prop_assert!(seen.0.is_none() || seen.0.as_ref() == Some(&header.0));
                    prop_assert!(seen.1.is_none() || seen.1.as_ref() == Some(&header.1));
                    // Nor is it needlessly ignorant.
                    if !resized && inserted.contains(&header) {
                        prop_assert!(seen.1.is_some());
                    }
                    if *inserts {
                        inserted.push(header);
                    }
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        blocks in vec(vec(any::<u8>(), 0..300), 0..10), start in any::<bool>(),
    ) {
        let mut table = if start { whole() } else { Table::new() };
        for block in blocks {
            let mut bytes = 0;
            let read = table.decode(&block, |f| bytes += f.value.map_or(0, <[u8]>::len));
            if read.is_err() {
                table.forget();
            }
            let size: usize = table.entries.iter().map(Entry::size).sum();
            prop_assert_eq!(size, table.size);
            prop_assert!(table.size <= table.max && table.max <= MOST_SIZE);
        }
    }
}
