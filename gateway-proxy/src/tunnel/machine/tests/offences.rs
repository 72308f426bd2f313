//! Peers that send what is no frame.

use super::*;

/// Streams whose last frame is an offence, with how much of them may pass.
fn offences() -> Vec<(&'static str, Side, Vec<u8>, usize)> {
    let good = |from| frame(from, TEXT, b"good");
    let after = |from, bad: &[u8]| [good(from).as_slice(), bad].concat();
    vec![
        (
            "5.2 reserved opcode 3",
            Side::Client,
            after(Side::Client, &[0x83, 0x80]),
            10,
        ),
        (
            "5.1 a client must mask",
            Side::Client,
            after(Side::Client, &[0x81, 0x00]),
            10,
        ),
        (
            "5.1 a server must not",
            Side::Backend,
            after(Side::Backend, &[0x81, 0x80]),
            6,
        ),
        (
            "5.5 a long ping",
            Side::Backend,
            after(Side::Backend, &[0x89, 126]),
            6,
        ),
        (
            "5.5 a fragmented ping",
            Side::Backend,
            after(Side::Backend, &[0x09, 0]),
            6,
        ),
        (
            "5.2 a length not minimal",
            Side::Backend,
            after(Side::Backend, &[0x82, 126, 0, 9]),
            6,
        ),
        (
            "5.4 no message goes on",
            Side::Backend,
            after(Side::Backend, &[0x80, 0]),
            6,
        ),
        ("at the very start", Side::Client, vec![0xff, 0xff], 0),
    ]
}

#[test]
fn an_offence_does_not_pass_and_both_sides_hear_1002() {
    for (name, from, bytes, valid) in offences() {
        for cut in 0..bytes.len() {
            let mut machine = machine();
            let mut passed = pass(&mut machine, from, &bytes[..cut]);
            passed.extend(pass(&mut machine, from, &bytes[cut..]));
            let order = refusal();
            let expected = [&bytes[..valid], &order.frame(from.other())].concat();
            assert_eq!(passed, expected, "{name}, cut at {cut}");
            assert_eq!(machine.wait(), Some(Wait::Answer), "{name}");
            assert_eq!(take(&mut machine, from), b"", "{name}");
            machine.expired(Wait::Answer);
            assert_eq!(take(&mut machine, from), order.frame(from), "{name}");
            assert!(finish(&mut machine).contains(&from), "7.1.7: {name}");
            assert_eq!(machine.wait(), Some(Wait::Close), "{name}");
            let end = machine.summary(Duration::ZERO);
            assert_eq!((end.by, end.close_code), (Some(from), Some(1002)), "{name}");
            assert!(matches!(end.cause, EndCause::Framing(_)), "{name}");
        }
    }
}

#[test]
fn an_offender_still_gets_what_was_on_its_way() {
    for (name, from, bytes, _) in offences() {
        let mut machine = machine();
        pass(&mut machine, from, &bytes);
        let answer = [
            frame(from.other(), TEXT, b"echo"),
            close(from.other(), 1002),
        ]
        .concat();
        let mut passed = Vec::new();
        for byte in answer.chunks(1) {
            passed.extend(pass(&mut machine, from.other(), byte));
        }
        assert_eq!(passed, answer, "{name}");
        assert!(finish(&mut machine).contains(&from), "7.1.7: {name}");
        assert_eq!(machine.wait(), Some(Wait::Close), "{name}");
    }
}

#[test]
fn an_offender_hears_1002_at_once_when_nobody_answers() {
    type Gone = fn(&mut Machine, Side);
    let rows: [(&str, Gone); 4] = [
        ("its stream ended", |machine, side| machine.ended(side)),
        ("it was reset", |machine, side| machine.lost(side)),
        ("it had closed", |machine, side| {
            pass(machine, side, &close(side, 1000));
        }),
        ("it offends, too", |machine, side| {
            machine.receive(side, &[0xff, 0xff], Instant::now());
        }),
    ];
    for (name, from, bytes, _) in offences() {
        for (how, gone) in rows {
            let orders: &[bool] = match how {
                "it had closed" => &[false],
                "it offends, too" => &[true],
                _ => &[true, false],
            };
            for &offence_first in orders {
                let mut machine = machine();
                let answers = from.other();
                if offence_first {
                    pass(&mut machine, from, &bytes);
                    gone(&mut machine, answers);
                } else {
                    gone(&mut machine, answers);
                    take(&mut machine, from);
                    pass(&mut machine, from, &bytes);
                }
                assert_ne!(machine.wait(), Some(Wait::Answer), "{name}: {how}");
                if how != "it had closed" {
                    let close = refusal().frame(from);
                    assert_eq!(take(&mut machine, from), close, "{name}: {how}");
                }
            }
        }
    }
}
