// graphile-worker: jobs in PostgreSQL, deleted once they are done.

import { Logger, makeWorkerUtils, run, runMigrations } from "graphile-worker";

import { main } from "./measure.mjs";
import { Postgres, connectionString } from "./postgres.mjs";

const TASK = "noop";
// Its own logger prints a line a job, which would be measured with it.
const logger = new Logger(() => () => {});

const configs = {
    defaults: {
        label: "defaults: 1 job at once, nothing batched",
        slow: true,
        worker: {},
    },
    // The fastest that its manual offers.
    fast: {
        label: "localQueue 2000, batched completion without delay, 24 jobs at once",
        worker: {
            concurrentJobs: 24,
            localQueue: { size: 2_000 },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
        },
    },
    // How jobs are added does not depend on the worker.
    calls: {
        label: "addJob and addJobs",
    },
};

// Growth is shown where it can be waited for.
const measured = {
    drain: ["defaults", "fast"],
    enqueue: ["calls"],
    bulk: ["calls"],
    latency: ["defaults", "fast"],
    growth: ["fast"],
    idle: ["defaults", "fast"],
};

async function open(config, { fresh }) {
    const postgres = await Postgres.open();
    if (fresh) {
        await postgres.rows("drop schema if exists graphile_worker cascade");
        await runMigrations({ connectionString, logger });
    }
    return new Queue(postgres, config);
}

class Queue {
    #postgres;
    #worker;

    constructor(postgres, config) {
        this.#postgres = postgres;
        this.#worker = config.worker;
    }

    async producer(callers) {
        const utils = await makeWorkerUtils({ connectionString, maxPoolSize: callers, logger });
        return {
            add: (payload) => utils.addJob(TASK, payload),
            addMany: (payloads) => utils.addJobs(payloads.map((payload) => ({ identifier: TASK, payload }))),
            close: () => utils.release(),
        };
    }

    async work(onStart) {
        const runner = await run({
            preset: { worker: { connectionString, logger, ...this.#worker } },
            taskList: { [TASK]: async (payload) => onStart([payload]) },
        });
        return () => runner.stop();
    }

    // Whatever is done has been deleted, and what is due is newer than what is scheduled. Asked from the newest on.
    async isEmpty() {
        const sql = `select run_at <= now() as due from graphile_worker._private_jobs order by id desc limit 1`;
        const [newest] = await this.#postgres.rows(sql);
        return !newest?.due;
    }

    // Nobody knows: a job that is done is gone.
    async succeeded() {
        return null;
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

    async fillScheduled(count) {
        const sql = `insert into graphile_worker._private_jobs (task_id, payload, run_at)
            select tasks.id, '{}', now() + interval '1 day' + number * interval '1 second'
            from graphile_worker._private_tasks as tasks, generate_series(1, $1::int) as number
            where tasks.identifier = $2`;
        await this.#postgres.rows(sql, [count, TASK]);
    }
}

await main({ name: "graphile-worker", package: "graphile-worker", configs, measured, open });
