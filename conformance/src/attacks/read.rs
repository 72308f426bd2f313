//! Reads a file of attacks. Pure; what is wrong is told with its line.

use super::judge::told;
use super::{Attack, Claim, Expected, Outcome};
use crate::harness::recorder::Then;

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) line: usize,
    pub(super) what: String,
}

/// The longest that a repetition may make: an attack is not a load.
const LONGEST: usize = 1 << 20;

/// What stands for a whole request that a smuggler hides behind another one.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

/// An attack under construction, and the line of its name.
struct Open {
    line: usize,
    attack: Attack,
    reply: Vec<u8>,
    then: Option<Then>,
}

/// All attacks in `text`.
pub(super) fn attacks(text: &str) -> Result<Vec<Attack>, BadLine> {
    let mut attacks = Vec::new();
    let mut open: Option<Open> = None;
    let mut line = 0;
    for content in text.lines() {
        line += 1;
        let fail = |what: String| BadLine { line, what };
        if content.trim().is_empty() || content.starts_with('#') {
            continue;
        }
        if let Some(name) = content.strip_prefix('[') {
            let name = name.strip_suffix(']').map(str::trim);
            let name = name.filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| fail("a name is `[NAME]`".to_owned()))?;
            attacks.extend(open.take().map(finish).transpose()?);
            open = Some(begin(name, line));
            continue;
        }
        let open = open
            .as_mut()
            .ok_or_else(|| fail("an attack begins with its `[NAME]`".to_owned()))?;
        take(content, open).map_err(fail)?;
    }
    attacks.extend(open.map(finish).transpose()?);
    if attacks.is_empty() {
        let what = "there is no attack".to_owned();
        return Err(BadLine { line, what });
    }
    Ok(attacks)
}

fn begin(name: &str, line: usize) -> Open {
    Open {
        line,
        attack: Attack {
            name: name.to_owned(),
            clause: String::new(),
            why: String::new(),
            over_tls: false,
            ours: false,
            send: Vec::new(),
            reply: None,
            allowed: Vec::new(),
            backend: Vec::new(),
            client: Vec::new(),
        },
        reply: Vec::new(),
        then: None,
    }
}

fn finish(open: Open) -> Result<Attack, BadLine> {
    let Open {
        line,
        mut attack,
        reply,
        then,
    } = open;
    let missing = [
        (attack.clause.is_empty(), "`clause`"),
        (attack.why.is_empty(), "`why`"),
        (attack.send.is_empty(), "bytes to send (`>`)"),
        (attack.allowed.is_empty(), "outcomes (`allow`)"),
        (
            reply.is_empty() && then.is_some(),
            "the answer (`<`) before `then`",
        ),
    ];
    if let Some((_, what)) = missing.iter().find(|(missing, _)| *missing) {
        let what = format!("[{}] lacks {what}", attack.name);
        return Err(BadLine { line, what });
    }
    if let Some((short, long)) = ambiguous(&attack.allowed) {
        let what = format!(
            "[{}]: `allow {short}` is how `allow {long}` begins, so that nobody knows when to stop reading",
            attack.name
        );
        return Err(BadLine { line, what });
    }
    if !reply.is_empty() {
        attack.reply = Some((reply, then.unwrap_or(Then::NextRequest)));
    }
    Ok(attack)
}

/// Two outcomes of which one ends where the other goes on.
fn ambiguous(outcomes: &[Outcome]) -> Option<(String, String)> {
    let goes_on = |short: &Outcome, long: &Outcome| {
        !short.closes
            && long.answers.starts_with(&short.answers)
            && (long.closes || long.answers.len() > short.answers.len())
    };
    let pairs = outcomes
        .iter()
        .flat_map(|short| outcomes.iter().map(move |long| (short, long)));
    let mut found = pairs.filter(|(short, long)| goes_on(short, long));
    let (short, long) = found.next()?;
    Some((
        told(&short.answers, short.closes),
        told(&long.answers, long.closes),
    ))
}

fn take(content: &str, open: &mut Open) -> Result<(), String> {
    let (word, rest) = content.split_once(' ').unwrap_or((content, ""));
    let attack = &mut open.attack;
    match word {
        "clause" => once(&mut attack.clause, word, rest),
        "why" => once(&mut attack.why, word, rest),
        "over" if rest.trim() == "tls" => {
            attack.over_tls = true;
            Ok(())
        }
        "ours" if rest.is_empty() => {
            attack.ours = true;
            Ok(())
        }
        "over" => Err(format!("`over tls`, not {rest:?}")),
        ">" => append(&mut attack.send, rest, b"\r\n"),
        ">~" => append(&mut attack.send, rest, b""),
        "<" => append(&mut open.reply, rest, b"\r\n"),
        "<~" => append(&mut open.reply, rest, b""),
        "then" => {
            let then = match rest.trim() {
                "close" => Then::Close,
                "reset" => Then::Reset,
                other => return Err(format!("`then close` or `then reset`, not {other:?}")),
            };
            open.then = Some(then);
            Ok(())
        }
        "allow" => {
            attack.allowed.push(outcome(rest)?);
            Ok(())
        }
        "backend" => {
            attack.backend.push(claim(rest)?);
            Ok(())
        }
        "client" => {
            attack.client.push(claim(rest)?);
            Ok(())
        }
        other => Err(format!(
            "{other:?} is not known; there are: clause, why, over, >, >~, <, <~, then, allow, backend, client"
        )),
    }
}

fn once(place: &mut String, word: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("`{word}` says nothing"));
    }
    if !place.is_empty() {
        return Err(format!("a second `{word}`"));
    }
    text.trim().clone_into(place);
    Ok(())
}

/// `400 close`, `200 200: GET /a, GET /b`, `200 broken: GET /`, `close`.
fn outcome(text: &str) -> Result<Outcome, String> {
    let (answers, requests) = text.split_once(':').unwrap_or((text, ""));
    let mut outcome = Outcome {
        answers: Vec::new(),
        closes: false,
        requests: Vec::new(),
    };
    for word in answers.split_whitespace() {
        if outcome.closes {
            return Err(format!("{word:?} after `close`"));
        }
        match (word, outcome.answers.last_mut()) {
            ("close", _) => outcome.closes = true,
            ("broken", Some(last)) => last.broken = true,
            (number, _) => outcome.answers.push(Expected {
                status: status(number)?,
                broken: false,
            }),
        }
    }
    if outcome.answers.is_empty() && !outcome.closes {
        return Err("an outcome is statuses or `close`, then `: METHOD TARGET, ...`".to_owned());
    }
    for request in requests.split(',').map(str::trim) {
        if request.is_empty() {
            continue;
        }
        if request.split(' ').count() != 2 {
            return Err(format!("a request is `METHOD TARGET`, not {request:?}"));
        }
        outcome.requests.push(request.to_owned());
    }
    Ok(outcome)
}

fn status(word: &str) -> Result<u16, String> {
    let status = word.parse().ok();
    status
        .filter(|status| (100..600).contains(status))
        .ok_or_else(|| format!("{word:?} is neither a status nor `broken` nor `close`"))
}

/// `Name: value`, `no Name`, `body TEXT`.
fn claim(text: &str) -> Result<Claim, String> {
    if let Some(name) = text.strip_prefix("no ") {
        return Ok(Claim::NoField(name.trim().to_owned()));
    }
    if let Some(body) = text.strip_prefix("body") {
        return Ok(Claim::Body(body.trim_start().to_owned()));
    }
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok(Claim::Field(
            name.trim().to_owned(),
            value.trim().to_owned(),
        )),
        _ => Err("a claim is `Name: value`, `no Name` or `body TEXT`".to_owned()),
    }
}

fn append(bytes: &mut Vec<u8>, text: &str, end: &[u8]) -> Result<(), String> {
    unescape(text, bytes)?;
    bytes.extend(end);
    Ok(())
}

/// `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH`, `\{COUNT*TEXT}`, `\{smuggled}`; else the text in UTF-8.
fn unescape(text: &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let escape = rest.chars().next();
        let escape = escape.ok_or_else(|| "a `\\` at the end".to_owned())?;
        rest = &rest[escape.len_utf8()..];
        match escape {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let digits = rest.get(..2).unwrap_or(rest);
                let byte = u8::from_str_radix(digits, 16).ok();
                let is_byte = digits.len() == 2 && !digits.starts_with('+');
                bytes.push(
                    byte.filter(|_| is_byte)
                        .ok_or_else(|| format!("`\\x{digits}` is no byte"))?,
                );
                rest = &rest[2..];
            }
            '{' => {
                let end = rest
                    .find('}')
                    .ok_or_else(|| "a `\\{` without `}`".to_owned())?;
                insert(&rest[..end], bytes)?;
                rest = &rest[end + 1..];
            }
            other => return Err(format!("`\\{other}` is not known")),
        }
    }
    bytes.extend(rest.as_bytes());
    Ok(())
}

fn insert(what: &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    if what == "smuggled" {
        bytes.extend(SMUGGLED);
        return Ok(());
    }
    let unknown = || format!("`\\{{{what}}}` is neither `\\{{smuggled}}` nor `\\{{COUNT*TEXT}}`");
    let (count, text) = what.split_once('*').ok_or_else(unknown)?;
    let count: usize = count.parse().map_err(|_| unknown())?;
    let mut once = Vec::new();
    unescape(text, &mut once)?;
    if count.saturating_mul(once.len()) > LONGEST {
        return Err(format!("`\\{{{what}}}` is more than {LONGEST} bytes"));
    }
    bytes.extend(once.repeat(count));
    Ok(())
}

#[cfg(test)]
mod tests;
