// The table of one session: node medians.mjs RESULTS.JSONL [SESSION]
//
// Medians (lowest–highest) over the runs; figures of different sessions are not comparable and never mixed.

import { readFileSync } from "node:fs";

// Of each figure, what has a column or says where it belongs; the rest is named in the last column.
const KNOWN = ["peer", "version", "workload", "config", "rate", "p50_ms", "p99_ms", "run", "session", "count"];
const HEADINGS = ["workload", "peer", "configuration", "a second", "ratio", "p50 ms", "p99 ms", "also", "of", "runs"];

const [file, wanted] = process.argv.slice(2);
const all = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line));
const session = wanted ?? all.at(-1).session;
const figures = all.filter((figure) => figure.session === session);

printRow(HEADINGS);
printRow(HEADINGS.map(() => "---"));
for (const ofWorkload of grouped(figures, (figure) => figure.workload)) {
    const cases = grouped(ofWorkload, (figure) => `${figure.peer} ${figure.version}, ${figure.config}`);
    for (const runs of cases) {
        printRow(cells(runs, bestRatio(runs, cases)));
    }
}

function cells(runs, ratio) {
    const [{ workload, peer, version, config, count }] = runs;
    const spreads = ["rate", "p50_ms", "p99_ms"].map((field) => spread(runs, field));
    const facts = Object.keys(runs[0]).filter((field) => !KNOWN.includes(field));
    const also = facts.map((field) => `${field.replaceAll("_", " ")} ${spread(runs, field)}`).join(", ");
    const [rate, half, most] = spreads;
    return [workload, `${peer} ${version}`, config, rate, ratio, half, most, also, grouping(count), runs.length];
}

// How far from the best of its workload: by the rate, or by the median time where there is none; 1 is the best.
function bestRatio(runs, cases) {
    const medians = (field) => cases.map((others) => middle(others, field)).filter((value) => value !== undefined);
    const rate = middle(runs, "rate");
    if (rate !== undefined) return (rate / Math.max(...medians("rate"))).toFixed(2);
    const time = middle(runs, "p50_ms");
    return time === undefined ? "" : (Math.min(...medians("p50_ms")) / time).toFixed(2);
}

function spread(runs, field) {
    const sorted = values(runs, field);
    if (sorted.length === 0) return "";
    if (sorted.length === 1) return grouping(sorted[0]);
    return `${grouping(middle(runs, field))} (${grouping(sorted[0])}–${grouping(sorted.at(-1))})`;
}

// The middle one; the lower of the two in the middle of an even number.
function middle(runs, field) {
    const sorted = values(runs, field);
    return sorted[Math.floor((sorted.length - 1) / 2)];
}

function values(runs, field) {
    const known = runs.map((figure) => figure[field]).filter((value) => value !== undefined);
    return known.sort((left, right) => left - right);
}

// Three digits of what is small, no fractions of what is not.
function grouping(number) {
    return number.toLocaleString("en", number < 100 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 });
}

// In the order in which each was first met.
function grouped(items, nameOf) {
    return [...Map.groupBy(items, nameOf).values()];
}

function printRow(row) {
    console.log(`| ${row.join(" | ")} |`);
}
