//! A name server that knows no name, so that a lookup inside a rig fails as it would for a name that
//! does not exist ("no such host") and not because nothing answers.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use anyhow::Context;

/// The header's length; the question follows it (RFC 1035, section 4.1.1).
const HEADER: usize = 12;

/// Answers every question on port 53 of every address of the rig.
pub(crate) fn serve() -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).context("cannot serve names")?;
    thread::spawn(move || {
        let mut packet = [0; 512];
        loop {
            if let Ok((length, peer)) = socket.recv_from(&mut packet)
                && let Some(answer) = refuse(&mut packet[..length])
            {
                let _ = socket.send_to(answer, peer);
            }
        }
    });
    Ok(())
}

/// Turns a question into the answer "no such name", or `None` if it is no question.
fn refuse(packet: &mut [u8]) -> Option<&[u8]> {
    let question = packet.get(HEADER..)?;
    let name = question.iter().position(|&byte| byte == 0)?;
    let end = HEADER + name + 1 + 4;
    if packet.len() < end || packet[2] & 0x80 != 0 {
        return None;
    }
    packet[2] |= 0x84; // QR: an answer; AA: from the authority, so that nobody asks elsewhere
    packet[3] = 0x83; // RA: recursion is available; RCODE 3: no such name
    packet[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]); // one question and nothing else
    Some(&packet[..end])
}

#[cfg(test)]
mod tests {
    use super::refuse;

    #[test]
    fn a_question_is_answered_with_no_such_name() {
        let mut packet = *b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x07invalid\x00\x00\x01\x00\x01\x00\x00\x29";
        let answer = refuse(&mut packet).unwrap();
        assert_eq!(
            answer,
            b"\x12\x34\x85\x83\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07invalid\x00\x00\x01\x00\x01"
        );
    }

    #[test]
    fn a_torn_packet_and_an_answer_stay_unanswered() {
        assert!(refuse(&mut [0; 11]).is_none());
        assert!(refuse(&mut [1; 40]).is_none());
        let mut answer =
            *b"\x12\x34\x85\x83\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
        assert!(refuse(&mut answer).is_none());
    }
}
