//! A link checker: fetches pages side by side, within limits, and tells which links are broken.
//!
//! ```sh
//! cargo run --release --example http &
//! cargo run --release --example crawler -- http://127.0.0.1:8080/links
//! ```
//!
//! It begins with the pages that it is given, and follows links that stay on their hosts. There is
//! a limit to everything: requests at a time, pages, the time for one page, and for all of them.
//! Ctrl-C is one more, and whatever ends it, the report is of what was found until then.
//!
//! This file is the crawler. How a page is fetched is in `page`, and what a link leads to in `url`.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use std::collections::HashSet;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sedge::signal::{SIGINT, SIGTERM, Signals};
use sedge::sync::{Semaphore, channel};
use sedge::task::{self, CancelToken};
use sedge::time::timeout;

use page::Page;
use url::Url;

mod page;
mod url;

/// Follows links from the given pages on, and tells which are broken
#[derive(Parser)]
struct Args {
    /// Where to begin
    #[arg(value_name = "URL", required = true)]
    urls: Vec<Url>,
    /// How many requests there are at a time
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
    /// How many pages are fetched at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pages: usize,
    /// How long one page may take
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// How long all of it may take
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    deadline: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What shells make of a program that SIGINT has ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = Args::parse();
    sedge::run(|| check(&args)).unwrap_or_else(|error| {
        eprintln!("crawler: {error}");
        ExitCode::FAILURE
    })
}

fn check(args: &Args) -> io::Result<ExitCode> {
    // Watched from here on: until then, a signal ends the process at once.
    let signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = CancelToken::new();
    sedge::spawn({
        let stop = stop.clone();
        move || {
            let _signal = signals.recv();
            stop.cancel();
        }
    });

    // Not in the closure, which may be ended at each of its waits.
    let mut report = Report::default();
    let ended = stop.run_until_cancelled(|| timeout(args.deadline, || crawl(args, &mut report)));
    report.print();
    Ok(match ended {
        Ok(Ok(())) if report.broken.is_empty() => ExitCode::SUCCESS,
        Ok(Ok(())) => ExitCode::FAILURE,
        Ok(Err(_elapsed)) => {
            println!("stopped: the time is over");
            ExitCode::FAILURE
        }
        Err(_cancelled) => {
            println!("stopped: interrupted");
            ExitCode::from(INTERRUPTED)
        }
    })
}

/// A link, and the page on which it was found first.
struct Link {
    to: Url,
    from: Option<Url>,
}

#[derive(Default)]
struct Report {
    /// All links that were found, so that none is followed twice.
    seen: HashSet<Url>,
    /// How many of them are fetched, or were; waiting for their turn are included.
    begun: usize,
    fine: usize,
    broken: Vec<(Link, io::Error)>,
    /// Links to other hosts, each as often as it was found.
    elsewhere: usize,
}

fn crawl(args: &Args, report: &mut Report) {
    let seats = Semaphore::new(args.at_once.into());
    let (sender, results) = channel::bounded(args.at_once.into());
    let progress = channel::tick(Duration::from_secs(1));
    let mut found: Vec<Link> =
        args.urls.iter().map(|url| Link { to: url.clone(), from: None }).collect();

    // Whatever ends it in a wait ends the tasks, too: they are gone when the scope is.
    task::scope(|scope| {
        let (seats, sender) = (&seats, &sender);
        loop {
            for link in found.drain(..) {
                if report.seen.insert(link.to.clone()) && report.begun < args.pages {
                    report.begun += 1;
                    scope.spawn(move || {
                        let seat = seats.acquire();
                        let fetched = timeout(args.timeout, || page::fetch(&link.to));
                        drop(seat);
                        let fetched = fetched.map_err(io::Error::from).and_then(|page| page);
                        sender.send((link, fetched)).expect("the receiver outlives the scope");
                    });
                }
            }
            if report.under_way() == 0 {
                break;
            }
            sedge::select! {
                recv(results) -> result => {
                    let (link, fetched) = result.expect("we have a sender ourselves");
                    found = report.add(link, fetched, &args.urls);
                }
                recv(progress) -> _ => report.print_progress(),
            }
        }
    });
}

impl Report {
    /// How many pages were begun and are not known yet.
    fn under_way(&self) -> usize {
        self.begun - self.fine - self.broken.len()
    }

    /// Takes in what has become of a link. Returns the links that were found behind it.
    fn add(&mut self, link: Link, fetched: io::Result<Page>, hosts: &[Url]) -> Vec<Link> {
        match fetched {
            Ok(page) => {
                self.fine += 1;
                let all = page.links.len() + page.elsewhere;
                let follow = |to: &Url| hosts.iter().any(|host| host.authority == to.authority);
                let links = page.links.into_iter().filter(follow);
                let links: Vec<_> =
                    links.map(|to| Link { to, from: Some(link.to.clone()) }).collect();
                self.elsewhere += all - links.len();
                links
            }
            Err(error) => {
                self.broken.push((link, error));
                Vec::new()
            }
        }
    }

    fn print_progress(&self) {
        eprintln!("{} pages found, {} to go", self.seen.len(), self.under_way());
    }

    fn print(&mut self) {
        self.broken.sort_by(|a, b| a.0.to.cmp(&b.0.to));
        for (link, error) in &self.broken {
            print!("broken: {}: {error}", link.to);
            match &link.from {
                Some(from) => println!(" (a link on {from})"),
                None => println!(),
            }
        }
        let (fine, broken) = (self.fine, self.broken.len());
        println!("{fine} fine, {broken} broken, {} not fetched", self.seen.len() - fine - broken);
        println!("{} links to other hosts, which were not followed", self.elsewhere);
    }
}
