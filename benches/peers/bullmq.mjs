// BullMQ: jobs in the memory of a Redis server, which writes what happens to a file.

import { Queue as BullQueue, Worker } from "bullmq";
import { Redis } from "ioredis";

import { main } from "./measure.mjs";
import { ensure, sleep } from "./process.mjs";

const QUEUE = "noop";
const CONCURRENCY = 100;
// How long Redis may take to write its file anew, and how often it is asked.
const REWRITE_MAX_LOOKS = 600;
const LOOK_EVERY_MS = 100;
// With `everysec` the last second is still to be flushed.
const FLUSH_MS = 1_500;

// BullMQ wants a connection that never gives up.
const connection = { host: "127.0.0.1", port: Number(process.env.PEERS_REDIS_PORT), maxRetriesPerRequest: null };

const configs = {
    everysec: { label: `appendfsync everysec, ${CONCURRENCY} jobs at once`, appendfsync: "everysec" },
    // As durable as a commit of PostgreSQL.
    always: { label: `appendfsync always, ${CONCURRENCY} jobs at once`, appendfsync: "always" },
};

const both = Object.keys(configs);
// No growth: there is no snapshot to hold, and ten million finished jobs do not fit in the memory.
const measured = { drain: both, enqueue: both, bulk: both, latency: both, idle: both };

async function open({ appendfsync }, { fresh }) {
    const redis = new Redis(connection);
    if (fresh) {
        await redis.config("SET", "appendfsync", appendfsync);
        await redis.flushall();
        // What is left of earlier jobs is still in the file.
        await redis.bgrewriteaof();
    }
    return new Queue(redis);
}

class Queue {
    #redis;
    #queue = new BullQueue(QUEUE, { connection });

    constructor(redis) {
        this.#redis = redis;
    }

    async producer(callers) {
        const queues = Array.from({ length: callers }, () => new BullQueue(QUEUE, { connection }));
        await Promise.all(queues.map((queue) => queue.waitUntilReady()));
        return {
            add: (payload, caller) => queues[caller].add(QUEUE, payload),
            addMany: (payloads, caller) => queues[caller].addBulk(payloads.map((data) => ({ name: QUEUE, data }))),
            close: () => Promise.all(queues.map((queue) => queue.close())),
        };
    }

    async work(onStart) {
        const handler = async (job) => onStart([job.data]);
        const worker = new Worker(QUEUE, handler, { connection, concurrency: CONCURRENCY });
        await worker.waitUntilReady();
        return () => worker.close();
    }

    async isEmpty() {
        const { wait, active } = await this.#queue.getJobCounts("wait", "active");
        return wait + active === 0;
    }

    async succeeded() {
        return (await this.#queue.getJobCounts("completed")).completed;
    }

    async settle() {
        const rewriting = /^aof_rewrite_(in_progress|scheduled):1/m;
        let looks = 0;
        while (rewriting.test(await this.#redis.info("persistence"))) {
            looks += 1;
            ensure(looks < REWRITE_MAX_LOOKS, "Redis does not get its file rewritten");
            await sleep(LOOK_EVERY_MS);
        }
        await sleep(FLUSH_MS);
    }

    async activity() {
        const stats = await this.#redis.info("stats");
        return { name: "commands", count: Number(/^total_commands_processed:(\d+)/m.exec(stats)[1]) };
    }
}

await main({ name: "BullMQ", package: "bullmq", configs, measured, open });
