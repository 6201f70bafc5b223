//! What the lines of a block say by themselves, found on all cores while the blocks before are judged.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use eksnet_model::{Judge, LiteralHit, Match, SignatureSet};

use crate::author;
use crate::blocks::Blocks;
use crate::fragment::is_record;
use crate::line::{Line, plain_already, starts_record};
use crate::logs::Head;

/// Most threads that prepare blocks: judging them in their order is the work of one, and keeps no more busy.
const MAX_THREADS: usize = 4;
/// Blocks that may wait for each thread.
const WAITING: usize = 2;

/// Lines of a text, taken apart as far as each tells by itself.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    lines: Vec<(Range<usize>, Option<Prepared>)>,
}

/// A record of a log, or at least how one begins.
#[derive(Debug)]
struct Prepared {
    /// Of [`Line`], with the places of its texts in the block.
    pod: Range<usize>,
    container: Range<usize>,
    host: Range<usize>,
    text: Range<usize>,
    head: Head,
    matches: Vec<Match>,
}

/// One line of a block.
pub(crate) struct Part<'b> {
    /// As it stands there.
    pub(crate) raw: &'b [u8],
    /// What it says, where it begins a record of a log.
    pub(crate) record: Option<(Line<'b>, Head, Vec<Match>)>,
}

impl Block {
    /// Takes lines apart.
    fn new(bytes: Vec<u8>, signatures: &SignatureSet, judge: &mut Judge<'_>) -> Self {
        let mut lines = Vec::new();
        // Where bytes are no UTF-8, each line is read by itself.
        let text = std::str::from_utf8(&bytes).ok();
        let (mut literals, mut words) = (Vec::new(), Vec::new());
        if let Some(text) = text {
            signatures.literals(&bytes, &mut literals);
            words = author::words_in(text);
        }
        let (mut literals, mut words) = (literals.as_slice(), words.as_slice());
        let mut start = 0;
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
            let own = literals.iter().take_while(|hit| hit.end <= end).count();
            let (own, rest) = literals.split_at(own);
            literals = rest;
            let spoken = words.iter().take_while(|at| **at < end).count();
            words = &words[spoken..];
            let prepared =
                text.and_then(|text| Prepared::of(text, start..end, spoken > 0, own, judge));
            lines.push((start..end, prepared));
            start = end + 1;
        }
        Self { bytes, lines }
    }

    /// Hands over the lines, in their order.
    pub(crate) fn each(self, mut take: impl FnMut(Part<'_>)) {
        let bytes = &self.bytes;
        // Checked when the block was made; both passes cost next to nothing.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        for (line, prepared) in self.lines {
            let record = prepared.map(|prepared| {
                let line = Line {
                    pod: &text[prepared.pod],
                    container: &text[prepared.container],
                    at: prepared.head.at,
                    host: &text[prepared.host],
                    component: prepared.head.own,
                    text: &text[prepared.text],
                };
                (line, prepared.head, prepared.matches)
            });
            take(Part {
                raw: &bytes[line],
                record,
            });
        }
    }
}

impl Prepared {
    /// A line that begins a record of a log and needs nothing taken away; `None` for all others.
    fn of(
        block: &str,
        line: Range<usize>,
        has_words: bool,
        literals: &[LiteralHit],
        judge: &mut Judge<'_>,
    ) -> Option<Self> {
        let plain = plain_already(&block[line])?;
        if !starts_record(plain) || (plain.starts_with('{') && !is_record(plain)) {
            return None;
        }
        let line = Line::of(plain);
        let place = |part: &str| {
            let at = (part.as_ptr() as usize).wrapping_sub(block.as_ptr() as usize);
            // What is empty need not lie in the block.
            if part.is_empty() {
                0..0
            } else {
                at..at + part.len()
            }
        };
        let head = Head::of(&line, has_words);
        Some(Self {
            pod: place(line.pod),
            container: place(line.container),
            host: place(line.host),
            text: place(line.text),
            matches: judge.matches(line.text, head.own.unwrap_or_default(), Some(literals)),
            head,
        })
    }
}

/// Hands over the blocks of a stream in their order, prepared.
///
/// # Errors
/// Why reading broke off, once all that was read before was handed over.
pub(crate) fn in_order(
    blocks: &mut Blocks<impl Read>,
    signatures: &SignatureSet,
    mut take: impl FnMut(Block),
) -> io::Result<()> {
    // Most files have one block.
    let Some(first) = blocks.next()? else {
        return Ok(());
    };
    let mut judge = Judge::new(signatures);
    take(Block::new(first, signatures, &mut judge));
    let Some(next) = blocks.next()? else {
        return Ok(());
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MAX_THREADS);
    let (jobs, queue) = sync_channel::<Job>(threads * WAITING);
    let queue = &Mutex::new(queue);
    thread::scope(move |scope| {
        // Threads end when this is dropped, however that comes.
        let jobs = jobs;
        for _ in 0..threads {
            scope.spawn(move || work(queue, signatures));
        }
        let mut waiting: VecDeque<Receiver<Block>> = VecDeque::new();
        let mut ended = Ok(());
        let mut next = Some(next);
        loop {
            while let Some(bytes) = next.take_if(|_| waiting.len() < threads * WAITING) {
                let (done, result) = sync_channel(1);
                if jobs.send(Job { bytes, done }).is_err() {
                    break;
                }
                waiting.push_back(result);
                next = blocks.next().unwrap_or_else(|error| {
                    ended = Err(error);
                    None
                });
            }
            let Some(result) = waiting.pop_front() else {
                return ended;
            };
            let block = result
                .recv()
                .map_err(|_| io::Error::other("a thread that reads lines broke off"))?;
            take(block);
        }
    })
}

struct Job {
    bytes: Vec<u8>,
    done: SyncSender<Block>,
}

/// Prepares blocks until no more come.
fn work(queue: &Mutex<Receiver<Job>>, signatures: &SignatureSet) {
    let mut judge = Judge::new(signatures);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The reader gave up.
        let _ = job.done.send(Block::new(job.bytes, signatures, &mut judge));
    }
}
