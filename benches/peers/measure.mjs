// What every peer is put through: the workloads of `robotd bench`, under their names.
//
// A peer is an object:
//   name, package    what it is called, and its npm package, whose version is reported
//   configs          { KEY: { label, slow, … } }; of a slow one a tenth of the tasks is drained
//   measured         { WORKLOAD: [KEY, …] }, what is worth measuring
//   open(config, { fresh })   its queue, emptied when fresh
// A queue is an object:
//   producer(callers)         { add(payload, caller), addMany(payloads, caller), close() }, a connection a caller
//   work(onStart)             starts a worker that calls onStart(payloads) as handlers start; answers how to stop it
//   isEmpty()                 whether nothing that is due is queued or running
//   succeeded()               how many tasks have succeeded, or null where no history is kept
//   settle()                  writes out what is pending, so that the next clock does not pay for it
//   activity()                { name, count } of what its server has been asked to do so far
//   holdSnapshot(), fillFinished(count), fillScheduled(count)   for growth, where it makes sense

import { report } from "./figure.mjs";
import {
    beWorker,
    cpuSeconds,
    ensure,
    now,
    residentMebibytes,
    round,
    sleep,
    startWorkerProcess,
    within,
} from "./process.mjs";

// How often it is looked whether a queue is empty.
const LOOK_EVERY_MS = 5;
// Longest wait for that.
const DRAIN_MAX_MS = 600_000;
// Tasks a call where many are added.
const BULK = 1_000;
// Calls of each caller before the clock starts.
const WARM_UP_CALLS = 20;
// A slow peer makes fewer calls: no more than fit in this time.
const CALLS_MAX_MS = 10_000;
// Tasks before the first whose latency counts, and the time between two of them.
const WARM_UP_TASKS = 10;
const TASK_EVERY_MS = 20;
// How long the last of them may take.
const ARRIVE_MAX_MS = 30_000;
// An idle worker is left alone for a while, then watched.
const IDLE_SETTLE_MS = 10_000;
const IDLE_WATCH_MS = 30_000;

const WORKLOADS = { drain, enqueue, bulk, latency, growth, idle };

// The command line of a peer's file: `configs WORKLOAD` names its configurations, `WORKLOAD CONFIG` measures.
export async function main(peer) {
    const [command, argument, expected] = process.argv.slice(2);
    if (command === "configs") {
        console.log((peer.measured[argument] ?? []).join("\n"));
        return;
    }
    const config = peer.configs[argument];
    if (command === "worker") {
        await beWorker(await peer.open(config, { fresh: false }), Number(expected));
        return;
    }
    const queue = await peer.open(config, { fresh: true });
    await WORKLOADS[command]({ peer, key: argument, config, queue });
    // Libraries keep timers and connections that would hold this process.
    process.exit(0);
}

// Size of the work: TASKS, or the workload's own.
const sizeOr = (ownSize) => Number(process.env.TASKS || ownSize);

async function drain(context) {
    const size = sizeOr(200_000);
    await drainOnce(context, context.config.slow ? Math.ceil(size / 10) : size, "drain");
}

// Fills the queue, then works it off. The clock runs from the start of the first handler, so that no peer pays for
// starting up, until the question was sent that found nothing queued or running.
async function drainOnce(context, count, workload) {
    const { queue } = context;
    await fill(queue, count);
    const succeededBefore = await queue.succeeded();
    await queue.settle();
    const handlers = countStarts(count);
    const stop = await queue.work(handlers.onStart);
    await within(DRAIN_MAX_MS, handlers.allStarted, "the queue does not become empty");
    const started = handlers.first;
    let ended = now();
    while (!(await queue.isEmpty())) {
        ensure(ended - started.at < DRAIN_MAX_MS, "the queue does not become empty");
        await sleep(LOOK_EVERY_MS);
        ended = now();
    }
    const { user, system } = process.cpuUsage(started.cpu);
    await stop();
    const succeeded = await queue.succeeded();
    ensure(succeeded === null || succeeded - succeededBefore === count, "not every task succeeded once");
    if (workload !== "warm-up") {
        const rate = (count * 1_000) / (ended - started.at);
        report(context, workload, { rate, count, worker_cpu_us_per_task: round((user + system) / count) });
    }
}

async function fill(queue, count) {
    const producer = await queue.producer(1);
    for (let next = 0; next < count; next += BULK) {
        await producer.addMany(numbered(Math.min(BULK, count - next)), 0);
    }
    await producer.close();
}

const numbered = (count) => Array.from({ length: count }, (_, number) => ({ n: number }));

function countStarts(count) {
    const handlers = { first: null };
    let left = count;
    handlers.allStarted = new Promise((resolve) => {
        handlers.onStart = (payloads) => {
            handlers.first ??= { at: now(), cpu: process.cpuUsage() };
            left -= payloads.length;
            if (left <= 0) resolve();
        };
    });
    return handlers;
}

async function enqueue(context) {
    const size = sizeOr(64_000);
    await callAtOnce(context, { callers: 1, calls: size / 8, tasks: 1, name: "enqueue, 1 caller" });
    await callAtOnce(context, { callers: 32, calls: size, tasks: 1, name: "enqueue, 32 callers" });
}

async function bulk(context) {
    const calls = sizeOr(200_000) / BULK;
    const name = `enqueue ${BULK} a request`;
    await callAtOnce(context, { callers: 1, calls, tasks: BULK, name: `${name}, 1 caller` });
    await callAtOnce(context, { callers: 4, calls, tasks: BULK, name: `${name}, 4 callers` });
}

// Each caller's next call follows the answer to its last; nothing works on what they add.
async function callAtOnce(context, { callers, calls, tasks, name }) {
    const producer = await context.queue.producer(callers);
    const each = Math.max(1, Math.floor(calls / callers));
    await byEach(callers, Math.min(WARM_UP_CALLS, each), (caller) => producer.add({ n: 0 }, caller));
    await context.queue.settle();
    const payloads = numbered(tasks);
    const started = now();
    const times = await byEach(callers, each, (caller) =>
        tasks > 1 ? producer.addMany(payloads, caller) : producer.add(payloads[0], caller),
    );
    const count = times.length * tasks;
    report(context, name, { rate: (count * 1_000) / (now() - started), times, count });
    await producer.close();
}

// The times of `each` calls by each of the callers.
async function byEach(callers, each, call) {
    const times = [];
    const deadline = now() + CALLS_MAX_MS;
    const callOneByOne = async (caller) => {
        for (let made = 0; made < each && now() < deadline; made += 1) {
            const sent = now();
            await call(caller);
            times.push(now() - sent);
        }
    };
    await Promise.all(Array.from({ length: callers }, (_, caller) => callOneByOne(caller)));
    return times;
}

// From before the call in this process to the first instruction of the handler in another.
async function latency(context) {
    const count = sizeOr(500);
    const worker = await startWorkerProcess(context, WARM_UP_TASKS + count);
    const producer = await context.queue.producer(1);
    await context.queue.settle();
    for (let sent = 0; sent < WARM_UP_TASKS + count; sent += 1) {
        const next = now() + TASK_EVERY_MS;
        await producer.add({ sentAt: now() }, 0);
        await sleep(Math.max(0, next - now()));
    }
    const delays = await within(ARRIVE_MAX_MS, worker.delays, "not every task reached its handler");
    worker.stop();
    report(context, "task to start", { times: delays.slice(WARM_UP_TASKS), count });
}

// Drains beside what has grown, each case after the one before.
async function growth(context) {
    const { queue } = context;
    const finished = sizeOr(10_000_000);
    const drained = Math.min(200_000, finished);
    await drainOnce(context, drained, "warm-up");
    await drainOnce(context, drained, "growth, nothing else");
    if (queue.holdSnapshot) {
        const release = await queue.holdSnapshot();
        // The first leaves dead rows behind that the snapshot keeps; the second has to work beside them.
        await drainOnce(context, drained, "warm-up");
        await drainOnce(context, drained, "growth, an open snapshot");
        await release();
    }
    if (queue.fillFinished) {
        await queue.fillFinished(finished);
        await drainOnce(context, drained, `growth, ${finished} finished tasks`);
    }
    const scheduled = Math.floor(finished / 10);
    await queue.fillScheduled(scheduled);
    await drainOnce(context, drained, `growth, ${scheduled} scheduled tasks too`);
}

async function idle(context) {
    const worker = await startWorkerProcess(context, Infinity);
    await sleep(IDLE_SETTLE_MS);
    const before = await context.queue.activity();
    const cpuBefore = cpuSeconds(worker.pid);
    const started = now();
    await sleep(IDLE_WATCH_MS);
    const cpu = cpuSeconds(worker.pid) - cpuBefore;
    const seconds = (now() - started) / 1_000;
    const after = await context.queue.activity();
    const memory = residentMebibytes(worker.pid);
    worker.stop();
    const cost = { cpu_percent: round((cpu * 100) / seconds), rss_mib: round(memory) };
    cost[`${before.name}_per_second`] = round((after.count - before.count) / seconds);
    report(context, "idle", { ...cost, count: 1 });
}
