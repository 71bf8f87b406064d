//! What Kubernetes' YAML parser puts up with and the standard does not.
//!
//! Manifests that a cluster takes are read by go-yaml, which has the rules of libyaml: in brackets
//! and quotes indentation means nothing, and may be tabs; a comment may follow a quote or a bracket
//! without a space; a tab may follow a colon; `\'` in double quotes is an apostrophe. A text that the
//! parser refuses is written anew here without all that, line by line, and tried once more.

/// The same document without what only go-yaml takes. Its lines stay its lines.
pub(super) fn strict(text: &str) -> String {
    let mut writer = Writer { text: String::with_capacity(text.len()), rest: text, column: 0 };
    let mut context = Context::default();
    while writer.peek().is_some() {
        writer.token(&mut context);
    }
    writer.text
}

/// Where in the document the writer is.
#[derive(Debug, Default)]
struct Context {
    /// The column of each bracket that is open.
    brackets: Vec<usize>,
    /// The indentation of the line.
    indentation: usize,
    /// Whether a plain scalar has begun, in which quotes and brackets are only characters.
    in_plain: bool,
}

struct Writer<'a> {
    text: String,
    rest: &'a str,
    column: usize,
}

impl Writer<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn put(&mut self, character: char) {
        self.text.push(character);
        self.column = if character == '\n' { 0 } else { self.column + 1 };
    }

    fn copy(&mut self) {
        if let Some(next) = self.skip() {
            self.put(next);
        }
    }

    fn copy_line(&mut self) {
        while self.peek().is_some_and(|next| next != '\n') {
            self.copy();
        }
    }

    /// Copies what comes next and takes it into account.
    fn token(&mut self, context: &mut Context) {
        let Some(next) = self.peek() else { return };
        let is_separated = self.text.is_empty() || self.text.ends_with([' ', '\t', '\n']);
        let is_flow = !context.brackets.is_empty();
        match next {
            '\n' => self.line_break(context),
            ' ' => self.copy(),
            '\t' if !context.in_plain && !self.is_indenting() => {
                self.skip();
                self.put(' ');
            }
            '\t' => self.copy(),
            '#' if is_separated => self.copy_line(),
            '#' if !context.in_plain => {
                self.put(' ');
                self.copy_line();
            }
            ',' | ']' | '}' if is_flow => {
                if next != ',' {
                    context.brackets.pop();
                }
                context.in_plain = false;
                self.copy();
            }
            ':' if self.ends_key(is_flow) => {
                context.in_plain = false;
                self.copy();
            }
            _ if context.in_plain => self.copy(),
            '[' | '{' => {
                context.brackets.push(self.column);
                self.copy();
            }
            '"' | '\'' => self.quoted(next, context),
            '|' | '>' if !is_flow => self.block(context),
            '-' | '?' if !is_flow && self.is_indicator() => self.copy(),
            // A tag or an anchor stands before what it belongs to.
            '!' | '&' | '*' => {
                let ends = |next: char| next.is_whitespace() || is_flow && ",]}".contains(next);
                while self.peek().is_some_and(|next| !ends(next)) {
                    self.copy();
                }
            }
            _ => {
                context.in_plain = true;
                self.copy();
            }
        }
    }

    /// Whether the line has nothing but blanks so far.
    fn is_indenting(&self) -> bool {
        let before = self.text.trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with('\n')
    }

    /// Whether the character after the next one is blank.
    fn is_indicator(&self) -> bool {
        self.rest.chars().nth(1).is_none_or(char::is_whitespace)
    }

    /// Whether the colon that comes next ends a key.
    fn ends_key(&self, is_flow: bool) -> bool {
        let after = self.rest.chars().nth(1);
        self.is_indicator()
            || is_flow
                && (after.is_some_and(|after| ",[]{}".contains(after))
                    || self.text.ends_with(['"', '\'']))
    }

    /// The next line. Inside of brackets it begins behind the first of them.
    fn line_break(&mut self, context: &mut Context) {
        self.copy();
        if let Some(first) = context.brackets.first() {
            self.indent(*first);
            return;
        }
        let indentation = self.rest.chars().take_while(|next| *next == ' ').count();
        // A plain scalar goes on in lines that are indented more.
        context.in_plain &= indentation > context.indentation;
        if !context.in_plain {
            context.indentation = indentation;
        }
    }

    /// Replaces the indentation of a line by spaces up to behind a column.
    fn indent(&mut self, column: usize) {
        while self.peek().is_some_and(|next| next == ' ' || next == '\t') {
            self.skip();
        }
        if self.peek().is_some_and(|next| next != '\n') {
            (0..=column).for_each(|_| self.put(' '));
        }
    }

    /// A scalar in quotes.
    fn quoted(&mut self, quote: char, context: &Context) {
        let start = context.brackets.first().copied().unwrap_or(self.column);
        self.copy();
        while let Some(next) = self.peek() {
            match next {
                '\\' if quote == '"' => {
                    self.skip();
                    if self.peek() != Some('\'') {
                        self.put('\\');
                    }
                    let is_break = self.peek() == Some('\n');
                    self.copy();
                    if is_break {
                        self.indent(start);
                    }
                }
                '\n' => {
                    self.copy();
                    self.indent(start);
                }
                _ => {
                    self.copy();
                    if next == quote {
                        return;
                    }
                }
            }
        }
    }

    /// A block scalar: its lines are text, whatever is in them.
    fn block(&mut self, context: &Context) {
        self.copy_line();
        let indentation = |line: &str| line.chars().take_while(|next| *next == ' ').count();
        let mut lines = self.rest.split('\n').skip(1);
        let first = lines.find(|line| !line.trim().is_empty()).map(indentation);
        let Some(least) = first.filter(|first| *first > context.indentation) else {
            return;
        };
        while self.peek() == Some('\n') {
            let line = self.rest[1..].split('\n').next().unwrap_or_default();
            if !line.trim().is_empty() && indentation(line) < least {
                return;
            }
            self.copy();
            self.copy_line();
        }
    }
}
