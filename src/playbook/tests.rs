//! Tests of playbooks: what they come to, and what is refused with which line.
