// Figures, one JSON line each.

import { readFileSync } from "node:fs";

import { round } from "./process.mjs";

// Prints what one case of a peer came to; `times` are those of single calls or starts, in ms.
export function report({ peer, config }, workload, { rate, times = [], ...facts }) {
    printFigure({
        peer: peer.name,
        version: versionOf(peer.package),
        workload,
        config: config.label,
        rate: rate === undefined ? undefined : Math.round(rate),
        p50_ms: percentile(times, 50),
        p99_ms: percentile(times, 99),
        ...facts,
    });
}

// Prints one figure of this run and session; what is undefined is left out.
export function printFigure(figure) {
    const run = Number(process.env.RUN ?? 1);
    console.log(JSON.stringify({ ...figure, run, session: process.env.SESSION }));
}

function versionOf(packageName) {
    const description = new URL(`node_modules/${packageName}/package.json`, import.meta.url);
    return JSON.parse(readFileSync(description, "utf8")).version;
}

// The smallest time that `share` percent of `times` do not exceed (nearest rank).
function percentile(times, share) {
    const sorted = [...times].sort((left, right) => left - right);
    const rank = Math.ceil((sorted.length * share) / 100);
    return sorted.length === 0 ? undefined : round(sorted[rank - 1]);
}
