//! What users are shown is what is tested here.

use crate::proxy::{Conf, Kind};

const README: &str = include_str!("../../../README.md");

/// The README's block is a part of the shipped config, line by line; only how far it is indented is its own.
#[test]
fn the_readme_shows_the_config_that_is_tested() {
    for (kind, language) in [(Kind::Nginx, "nginx"), (Kind::Haproxy, "haproxy")] {
        let blocks: Vec<_> = README.split(&format!("```{language}\n")).skip(1).collect();
        assert_eq!(blocks.len(), 1, "the README shows one block of {language}");
        let block = blocks[0].split("```").next().unwrap();
        let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        let (shown, shipped) = (lines(block), lines(kind.shipped()));
        assert!(shown.len() > 5, "{shown:?}");
        let is_there = shipped.windows(shown.len()).any(|window| window == shown);
        assert!(is_there, "{kind:?}: the README shows what examples/proxies does not have:\n{block}");
    }
}

/// Without it every event of a stream waits for 200 ms in haproxy, which is a matter of speed: no other test would fail.
#[test]
fn haproxy_sends_small_writes_at_once() {
    let is_on = |line: &str| line.trim() == "option http-no-delay";
    assert_eq!(Kind::Haproxy.shipped().lines().filter(|line| is_on(line)).count(), 1);
}

/// A test that changes what is not there would go on with the shipped config and show nothing.
#[test]
#[should_panic(expected = "the shipped config has no")]
fn a_change_of_what_is_not_there_fails() {
    drop(Conf::shipped(Kind::Nginx).with("proxy_read_timeout 60s", "proxy_read_timeout 1s"));
}
