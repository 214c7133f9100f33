// robotd itself, by its own `robotd bench`, so that its runs stand between those of the others.

import { execFileSync } from "node:child_process";

import { printFigure } from "./figure.mjs";
import { Postgres, connectionString } from "./postgres.mjs";

const DATABASE = "robotd_bench";
const WORKLOADS = ["drain", "enqueue", "bulk", "latency", "growth", "idle"];

const program = process.env.ROBOTD;
const [command, workload] = process.argv.slice(2);

if (command === "configs") {
    console.log(WORKLOADS.includes(workload) ? "shipped" : "");
} else {
    await measure(command);
}

async function measure(ordered) {
    const address = await emptyDatabase();
    const version = execFileSync(program, ["--version"], { encoding: "utf8" }).trim().split(" ").at(-1);
    const size = process.env.TASKS ? ["--tasks", process.env.TASKS] : [];
    const options = ["--database-url", address, "--runs", "1", "--json", ...size];
    const answer = execFileSync(program, ["bench", ordered, ...options], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
    });
    for (const line of answer.trim().split("\n")) {
        printFigure({ peer: "robotd", version, ...asOneRun(JSON.parse(line)) });
    }
    process.exit(0);
}

async function emptyDatabase() {
    const postgres = await Postgres.open();
    await postgres.rows(`drop database if exists ${DATABASE} with (force)`);
    await postgres.rows(`create database ${DATABASE}`);
    const address = new URL(connectionString);
    address.pathname = `/${DATABASE}`;
    return address.href;
}

// Without what only says something of several runs.
function asOneRun({ workload: name, rate, p50_ms, p99_ms, rate_min, rate_max, p95_ms, runs, database, ...facts }) {
    return { workload: name, config: `as it ships, on ${database}`, rate, p50_ms, p99_ms, ...facts };
}
