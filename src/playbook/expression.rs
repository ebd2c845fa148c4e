//! What stands between `{{` and `}}`: parsed with precedence, names resolved, numbers calculated beforehand where they
//! are known. Pure. The meaning of operators is [`Operator`]'s.

use swarm_agent::wire::flow::{Expression, Operator, Variable};

/// Resolves a name to what it stands for.
pub type Names<'a> = dyn Fn(&str) -> Result<Expression, String> + 'a;

/// A piece of a text: as it stands, or what stood in braces.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it stands.
    Plain(&'a str),
    /// Between `{{` and `}}`.
    Braces(&'a str),
}

/// Cuts a text at its braces. A quoted text inside braces may hold braces.
pub fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        if open > 0 {
            parts.push(Part::Plain(&rest[..open]));
        }
        let inside = &rest[open + 2..];
        let close = closing(inside).ok_or_else(|| format!("`{}` is not closed by }}}}", shortened(&rest[open..])))?;
        parts.push(Part::Braces(&inside[..close]));
        rest = &inside[close + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Plain(rest));
    }
    Ok(parts)
}

fn closing(inside: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in inside.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '}' if !quoted && inside[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    None
}

fn shortened(text: &str) -> String {
    text.chars().take(24).collect()
}

/// Parses an expression. `conn % (200 + 2 * x)`, `random(1, 6)`, `'text'`.
pub fn parse(text: &str, names: &Names<'_>) -> Result<Expression, String> {
    let mut reading = Reading {
        rest: text,
        whole: text.trim(),
        names,
    };
    let found = reading.sum()?;
    match reading.next() {
        None => Ok(found),
        Some(c) => Err(reading.wrong(&format!("`{c}` is out of place"))),
    }
}

struct Reading<'a> {
    rest: &'a str,
    whole: &'a str,
    names: &'a Names<'a>,
}

impl<'a> Reading<'a> {
    fn wrong(&self, what: &str) -> String {
        format!("{{{{{}}}}}: {what}", self.whole)
    }

    fn next(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.next() == Some(wanted);
        if there {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        there
    }

    fn sum(&mut self) -> Result<Expression, String> {
        let mut left = self.product()?;
        loop {
            let operator = match self.next() {
                Some('+') => Operator::Plus,
                Some('-') => Operator::Minus,
                _ => return Ok(left),
            };
            self.rest = &self.rest[1..];
            let right = self.product()?;
            left = self.calculated(left, operator, right)?;
        }
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.operand()?;
        loop {
            let operator = match self.next() {
                Some('*') => Operator::Times,
                Some('%') => Operator::Modulo,
                Some('/') => return Err(self.wrong("`/` is no operator; + - * % and parentheses are")),
                _ => return Ok(left),
            };
            self.rest = &self.rest[1..];
            let right = self.operand()?;
            left = self.calculated(left, operator, right)?;
        }
    }

    fn operand(&mut self) -> Result<Expression, String> {
        match self.next() {
            None => Err(self.wrong("something is missing at the end")),
            Some('(') => {
                self.take('(');
                let inner = self.sum()?;
                match self.take(')') {
                    true => Ok(inner),
                    false => Err(self.wrong("a `)` is missing")),
                }
            }
            Some('-') => {
                self.take('-');
                let negated = self.operand()?;
                self.calculated(Expression::Number(0), Operator::Minus, negated)
            }
            Some('\'') => {
                let inside = &self.rest[1..];
                let end = inside
                    .find('\'')
                    .ok_or_else(|| self.wrong("a text is not closed by `'`"))?;
                self.rest = &inside[end + 1..];
                Ok(Expression::Text(inside[..end].to_string()))
            }
            Some(c) if c.is_ascii_digit() => {
                let digits = self.word(|c| c.is_ascii_digit());
                let number = digits.parse().map(Expression::Number);
                number.map_err(|_| self.wrong(&format!("{digits} does not fit into 64 bits")))
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
                if self.take('(') {
                    return self.function(name);
                }
                (self.names)(name).map_err(|error| self.wrong(&error))
            }
            Some(c) => Err(self.wrong(&format!("`{c}` is out of place"))),
        }
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn function(&mut self, name: &str) -> Result<Expression, String> {
        if name != "random" {
            return Err(self.wrong(&format!("`{name}` is no function; random(FROM, TO) is")));
        }
        let mut bounds = Vec::new();
        while bounds.len() < 2 {
            let bound = self.sum()?;
            let number = known(&bound).ok_or_else(|| self.wrong("random wants numbers that are known beforehand"))?;
            bounds.push(number);
            if bounds.len() < 2 && !self.take(',') {
                return Err(self.wrong("random(FROM, TO)"));
            }
        }
        if !self.take(')') {
            return Err(self.wrong("random(FROM, TO)"));
        }
        match (bounds[0], bounds[1]) {
            (from, to) if from > to => Err(self.wrong("random(FROM, TO) is the wrong way round")),
            (from, to) => Ok(Expression::Variable(Variable::Random(from, to))),
        }
    }

    fn calculated(&self, left: Expression, operator: Operator, right: Expression) -> Result<Expression, String> {
        // the text itself may be a secret
        let text = |operand: &Expression| matches!(operand, Expression::Text(_)) && known(operand).is_none();
        if text(&left) || text(&right) {
            return Err(self.wrong("a text stands where only numbers can be calculated with"));
        }
        let zero = known(&right) == Some(0) && operator == Operator::Modulo;
        match (known(&left), known(&right)) {
            _ if zero => Err(self.wrong("the remainder of a division by zero")),
            (Some(a), Some(b)) => Ok(Expression::Number(match operator {
                Operator::Plus => a.wrapping_add(b),
                Operator::Minus => a.wrapping_sub(b),
                Operator::Times => a.wrapping_mul(b),
                Operator::Modulo => a.wrapping_rem_euclid(b),
            })),
            _ => Ok(Expression::Calculation(Box::new(left), operator, Box::new(right))),
        }
    }
}

/// The number that an expression is known to be.
pub fn known(expression: &Expression) -> Option<i64> {
    match expression {
        Expression::Number(number) => Some(*number),
        Expression::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Result<Expression, String> {
        match name {
            "conn" => Ok(Expression::Variable(Variable::Conn)),
            "ten" => Ok(Expression::Number(10)),
            "word" => Ok(Expression::Text("abc".into())),
            other => Err(format!("no `{other}`")),
        }
    }

    #[test]
    fn what_is_known_is_calculated() {
        for (text, number) in [
            ("1 + 2 * 3", 7),
            ("(1 + 2) * 3", 9),
            ("10 - 2 - 3", 5),
            ("-7 % 3", 2),
            ("7 % 3 + 1", 2),
            ("ten*ten", 100),
            ("-(2 - 5)", 3),
            ("'5' + 1", 6),
        ] {
            assert_eq!(parse(text, &names), Ok(Expression::Number(number)), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_stays() {
        let conn = || Box::new(Expression::Variable(Variable::Conn));
        assert_eq!(
            parse("conn % (ten * 20)", &names).unwrap(),
            Expression::Calculation(conn(), Operator::Modulo, Box::new(Expression::Number(200)))
        );
        assert_eq!(
            parse("conn + conn * 2", &names).unwrap(),
            Expression::Calculation(
                conn(),
                Operator::Plus,
                Box::new(Expression::Calculation(
                    conn(),
                    Operator::Times,
                    Box::new(Expression::Number(2))
                ))
            )
        );
        assert_eq!(
            parse("random(1, ten - 4)", &names).unwrap(),
            Expression::Variable(Variable::Random(1, 6))
        );
    }

    #[test]
    fn what_is_wrong_says_why() {
        for (text, says) in [
            ("", "something is missing"),
            ("1 +", "something is missing"),
            ("(1", "a `)` is missing"),
            ("1 2", "`2` is out of place"),
            ("1 / 2", "`/` is no operator"),
            ("x", "no `x`"),
            ("word + 1", "{{word + 1}}: a text stands where only numbers"),
            ("1 % 0", "division by zero"),
            ("conn % 0", "division by zero"),
            ("random(6, 1)", "the wrong way round"),
            ("random(conn, 1)", "known beforehand"),
            ("random(1)", "random(FROM, TO)"),
            ("sin(1)", "no function"),
            ("'a", "not closed"),
            ("99999999999999999999", "64 bits"),
        ] {
            let error = parse(text, &names).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn texts_are_cut_at_braces() {
        assert_eq!(
            parts("a{{x}}b{{'}}'}}").unwrap(),
            [
                Part::Plain("a"),
                Part::Braces("x"),
                Part::Plain("b"),
                Part::Braces("'}}'")
            ]
        );
        assert_eq!(parts("{x}").unwrap(), [Part::Plain("{x}")]);
        assert!(parts("a {{x").unwrap_err().contains("not closed"));
    }
}
