// What the peers on PostgreSQL share.

import pg from "pg";

// The database that `run` has made for the peers.
export const connectionString = process.env.PEERS_POSTGRES_URL;

// A connection beside those of a peer, to look at its tables from outside.
export class Postgres {
    #client;

    static async open() {
        const postgres = new Postgres();
        postgres.#client = new pg.Client(connectionString);
        await postgres.#client.connect();
        // Whether a queue is empty is asked of its indexes: reading whole tables would be measured with it.
        await postgres.rows("set enable_seqscan = off");
        return postgres;
    }

    async rows(sql, values) {
        return (await this.#client.query(sql, values)).rows;
    }

    async has(sql, values) {
        return (await this.rows(sql, values)).length > 0;
    }

    // As `robotd bench` does it before each clock starts.
    async settle() {
        await this.rows("vacuum analyze");
        await this.rows("checkpoint");
    }

    // Transactions that ended in this database.
    async activity() {
        const sql = `select xact_commit + xact_rollback as count from pg_stat_database
            where datname = current_database()`;
        const [{ count }] = await this.rows(sql);
        return { name: "transactions", count: Number(count) };
    }

    // Opens a snapshot, as a backup or a long report does; answers how to let go of it.
    async holdSnapshot() {
        const holder = await Postgres.open();
        await holder.rows("begin isolation level repeatable read");
        // The first question takes it.
        await holder.rows("select 1 from pg_class limit 1");
        return () => holder.#client.end();
    }
}
