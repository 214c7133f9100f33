// Clocks, time limits, and workers as processes of their own.

import { fork } from "node:child_process";
import { readFileSync } from "node:fs";

// Unit of the processor times that Linux gives.
const TICKS_PER_SECOND = 100;
// How long a worker may take to start.
const START_MAX_MS = 60_000;
// What a worker says once it waits for work.
const READY = "ready";

// The monotonic clock of the machine, which all processes share, in ms.
export const now = () => Number(process.hrtime.bigint()) / 1e6;

export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

// To a thousandth, which is finer than any of it can be repeated.
export const round = (value) => Math.round(value * 1_000) / 1_000;

export function ensure(holds, complaint) {
    if (!holds) throw new Error(complaint);
}

export async function within(millis, promise, complaint) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(complaint)), millis);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

// Starts a worker in a process of its own; `delays` are those of its first `expected` tasks, in ms.
export async function startWorkerProcess({ key }, expected) {
    // What it prints must not get among the figures.
    const stdio = ["ignore", process.stderr, "inherit", "ipc"];
    const child = fork(process.argv[1], ["worker", key, String(expected)], { stdio });
    const died = new Promise((_, reject) => {
        child.once("exit", (code) => reject(new Error(`the worker ended with ${code}`)));
    });
    // It also ends when it is told to, and then nobody waits any more.
    died.catch(() => {});
    const nextMessage = () => new Promise((resolve) => child.once("message", resolve));
    const ready = await within(START_MAX_MS, Promise.race([nextMessage(), died]), "the worker does not start");
    ensure(ready === READY, "the worker said something else first");
    const delays = Promise.race([nextMessage(), died]);
    delays.catch(() => {});
    return { pid: child.pid, delays, stop: () => child.kill("SIGKILL") };
}

// The other side of it: works until it is killed, or its starter is gone.
export async function beWorker(queue, expected) {
    process.on("disconnect", () => process.exit(0));
    const delays = [];
    await queue.work((payloads) => {
        const started = now();
        for (const payload of payloads) {
            delays.push(started - payload.sentAt);
        }
        if (delays.length === expected) process.send(delays);
    });
    process.send(READY);
}

// Processor time that a process has used.
export function cpuSeconds(pid) {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // Its name may hold anything; what follows its closing bracket is fields 3 and on, and 14 and 15 are wanted.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function residentMebibytes(pid) {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) / 1_024;
}
