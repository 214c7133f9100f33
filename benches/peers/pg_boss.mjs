// pg-boss: jobs in PostgreSQL, kept for a week once they are done.

import { PgBoss } from "pg-boss";

import { main } from "./measure.mjs";
import { Postgres, connectionString } from "./postgres.mjs";

const QUEUE = "noop";

const batches = {
    batchSize: 5_000,
    localConcurrency: 4,
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
};
const label = "batchSize 5000, localConcurrency 4, poll 0.5 s, burstWhenBatchFull";

const configs = {
    polling: { label, notify: false },
    // Woken by LISTEN and NOTIFY, which a queue and an instance must both ask for.
    notified: { label: `${label}, notify`, notify: true },
    // How jobs are added does not depend on the worker.
    calls: { label: "send and insert", notify: false },
};

const measured = {
    drain: ["polling"],
    enqueue: ["calls"],
    bulk: ["calls"],
    latency: ["polling", "notified"],
    growth: ["polling"],
    idle: ["polling", "notified"],
};

async function open(config, { fresh }) {
    const postgres = await Postgres.open();
    if (fresh) {
        await postgres.rows("drop schema if exists pgboss cascade");
        const boss = await startBoss(config);
        await boss.createQueue(QUEUE, { notify: config.notify });
        // It would look after the queue meanwhile, beside the worker that is measured.
        await stopBoss(boss);
    }
    return new Queue(postgres, config);
}

// Starts an instance; pg-boss needs one to add jobs and one to work on them alike.
async function startBoss({ notify }, max) {
    const boss = new PgBoss({ connectionString, useListenNotify: notify, max });
    boss.on("error", console.error);
    await boss.start();
    return boss;
}

const stopBoss = (boss) => boss.stop({ graceful: false });

class Queue {
    #postgres;
    #config;

    constructor(postgres, config) {
        this.#postgres = postgres;
        this.#config = config;
    }

    async producer(callers) {
        const boss = await startBoss(this.#config, callers);
        return {
            add: (payload) => boss.send(QUEUE, payload),
            addMany: (payloads) => boss.insert(QUEUE, payloads.map((data) => ({ data }))),
            close: () => stopBoss(boss),
        };
    }

    async work(onStart) {
        const boss = await startBoss(this.#config);
        await boss.work(QUEUE, batches, async (jobs) => onStart(jobs.map((job) => job.data)));
        return () => stopBoss(boss);
    }

    // In the words of its index of jobs that are not over.
    async isEmpty() {
        const sql = `select 1 from pgboss.job where name = $1 and state in ('created', 'retry', 'active')
            and not blocked and start_after <= now() limit 1`;
        return !(await this.#postgres.has(sql, [QUEUE]));
    }

    async succeeded() {
        const sql = `select count(*) from pgboss.job where name = $1 and state = 'completed'`;
        const [{ count }] = await this.#postgres.rows(sql, [QUEUE]);
        return Number(count);
    }

    settle() {
        return this.#postgres.settle();
    }

    activity() {
        return this.#postgres.activity();
    }

    holdSnapshot() {
        return this.#postgres.holdSnapshot();
    }

    // Spread over the last days; what is older than a week would be deleted while it is measured.
    async fillFinished(count) {
        const sql = `insert into pgboss.job (name, data, state, policy, created_on, started_on, completed_on)
            select $1, '{}', 'completed', 'standard', at, at, at from (
                select now() - interval '6 days' * number / $2::int as at from generate_series(1, $2::int) as number
            ) as old`;
        await this.#postgres.rows(sql, [QUEUE, count]);
    }

    async fillScheduled(count) {
        const sql = `insert into pgboss.job (name, data, policy, start_after)
            select $1, '{}', 'standard', now() + interval '1 day' + number * interval '1 second'
            from generate_series(1, $2::int) as number`;
        await this.#postgres.rows(sql, [QUEUE, count]);
    }
}

await main({ name: "pg-boss", package: "pg-boss", configs, measured, open });
