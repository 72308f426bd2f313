//! JSON pointers (RFC 6901): built on the way down a tree, written only when there is a problem.

use std::fmt::{self, Write};

/// A place in a document, as a chain of steps that live on the stack.
#[derive(Clone, Copy)]
pub(crate) struct Pointer<'a> {
    parent: Option<&'a Pointer<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

impl<'a> Pointer<'a> {
    /// The whole document.
    pub(crate) const ROOT: Self = Self {
        parent: None,
        step: Step::Root,
    };

    /// The property `name` of this.
    pub(crate) fn name(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Name(name),
        }
    }

    /// The element `index` of this.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    /// The last property's name, for messages.
    pub(crate) fn last_name(&self) -> &'a str {
        match (self.step, self.parent) {
            (Step::Name(name), _) => name,
            (_, Some(parent)) => parent.last_name(),
            (_, None) => "the document",
        }
    }
}

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(f, "/{index}"),
            Step::Name(name) => write_segment(f, name),
        }
    }
}

/// Puts one more segment at the end of a written pointer.
pub(crate) fn push(pointer: &mut String, segment: &str) {
    write_segment(pointer, segment).expect("writing to a String does not fail");
}

/// The segments of a written pointer, unescaped.
pub(crate) fn segments(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer
        .split('/')
        .skip(1)
        .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

fn write_segment(f: &mut impl Write, segment: &str) -> fmt::Result {
    f.write_char('/')?;
    for character in segment.chars() {
        match character {
            '~' => f.write_str("~0")?,
            '/' => f.write_str("~1")?,
            other => f.write_char(other)?,
        }
    }
    Ok(())
}
