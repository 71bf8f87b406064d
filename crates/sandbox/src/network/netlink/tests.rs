//! The wire format against bytes: ours by hand from netlink(7), the kernel's as it sent them.

use nix::errno::Errno;

use super::decode::{attributes, find, messages};
use super::encode::Batch;
use super::socket::refusal;

/// What the kernel (6.18) says to a link of an unknown kind.
const REFUSAL: &[u8] = &[
    0x3c, 0, 0, 0, 2, 0, 0, 3, 7, 0, 0, 0, 0xe4, 0x1c, 0,
    0, // length 60, NLMSG_ERROR, sequence 7
    0xa1, 0xff, 0xff, 0xff, // -95
    0x34, 0, 0, 0, 0x10, 0, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, // the header of our message
    0x18, 0, 1, 0, b'U', b'n', b'k', b'n', b'o', b'w', b'n', b' ', b'd', b'e', b'v', b'i', b'c',
    b'e', b' ', b't', b'y', b'p', b'e', 0,
];

#[cfg(target_endian = "little")]
#[test]
fn a_message_is_a_header_and_attributes_filled_up_to_four_bytes() {
    let mut batch = Batch::default();
    batch.message(0x10, libc::NLM_F_ACK, "first", |message| {
        message.raw(&[0xaa; 4]);
        message.text(3, "lo");
        message.nested(18, |inside| inside.attribute(1, &[9]));
    });
    batch.message(0x12, 0, "second", |message| message.network_number(2, 1));
    let expected: &[&[u8]] = &[
        &[40, 0, 0, 0, 0x10, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        &[0xaa, 0xaa, 0xaa, 0xaa],
        &[7, 0, 3, 0, b'l', b'o', 0, 0],
        &[12, 0, 18, 0x80, 5, 0, 1, 0, 9, 0, 0, 0],
        &[24, 0, 0, 0, 0x12, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        &[8, 0, 2, 0, 0, 0, 0, 1],
    ];
    assert_eq!(batch.bytes(), expected.concat());
    assert_eq!((batch.doing(1), batch.doing(2)), ("first", "second"));
    assert_eq!(batch.doing(0), "talk to the kernel");
    assert_eq!(batch.expected_acknowledgements(), 1);
}

#[test]
fn what_was_encoded_is_decoded_again() {
    let mut batch = Batch::default();
    for kind in [16, 17] {
        batch.message(kind, libc::NLM_F_ACK, "try", |message| {
            message.number(4, 1500);
            message.nested(18, |inside| inside.text(1, "veth"));
        });
    }
    let found = messages(batch.bytes()).collect::<Vec<_>>();
    assert_eq!(found.iter().map(|m| (m.kind, m.sequence)).collect::<Vec<_>>(), [(16, 1), (17, 2)]);
    let inside = attributes(found[1].payload).collect::<Vec<_>>();
    assert_eq!((inside[0].kind, inside[0].number()), (4, Some(1500)));
    assert_eq!((inside[1].kind, find(inside[1].value, 1).unwrap().text()), (18, "veth".to_owned()));
}

#[cfg(target_endian = "little")]
#[test]
fn a_refusal_carries_the_kernels_own_words() {
    let message = messages(REFUSAL).next().unwrap();
    let refusal = refusal(&message).unwrap();
    assert_eq!((message.sequence, refusal.errno), (7, Errno::EOPNOTSUPP));
    let text = refusal.to_string();
    assert_eq!(
        text,
        "EOPNOTSUPP: Operation not supported on transport endpoint (Unknown device type)"
    );
}

#[test]
fn an_acknowledgement_is_no_refusal() {
    let mut bytes = REFUSAL[..36].to_vec();
    bytes[0] = 36;
    bytes[16..20].fill(0);
    assert_eq!(refusal(&messages(&bytes).next().unwrap()), None);
}

#[test]
fn bytes_that_are_cut_off_or_lie_about_their_length_end_the_walk() {
    for (bytes, expected) in [
        (&REFUSAL[..59], 0),
        (&REFUSAL[..10], 0),
        (&[0; 64][..], 0),
        (&[15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], 0),
        (REFUSAL, 1),
    ] {
        assert_eq!(messages(bytes).count(), expected, "{bytes:?}");
    }
    for (bytes, expected) in [
        (&[3, 0, 1, 0][..], 0),
        (&[0; 8][..], 0),
        (&[9, 0, 1, 0, 1, 2, 3, 4][..], 0),
        (&[5, 0, 1, 0, 1][..], 1), // the last one may lack its padding
    ] {
        assert_eq!(attributes(bytes).count(), expected, "{bytes:?}");
    }
}
