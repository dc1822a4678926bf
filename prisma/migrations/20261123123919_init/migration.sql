-- CreateEnum
CREATE TYPE "node_state" AS ENUM ('active', 'draining', 'removing', 'removed');

-- CreateEnum
CREATE TYPE "job_state" AS ENUM ('queued', 'sending', 'running', 'retrying', 'succeeded', 'failed', 'cancelled');

-- CreateEnum
CREATE TYPE "attempt_state" AS ENUM ('sending', 'running', 'succeeded', 'failed', 'refused', 'unreachable', 'lost', 'superseded');

-- CreateTable
CREATE TABLE "nodes" (
    "id" UUID NOT NULL,
    "url" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "weight" DOUBLE PRECISION NOT NULL DEFAULT 1,
    "max_in_flight" INTEGER,
    "labels" JSONB NOT NULL DEFAULT '{}',
    "headers" JSONB NOT NULL DEFAULT '{}',
    "state" "node_state" NOT NULL DEFAULT 'active',
    "source" TEXT NOT NULL,
    "snapshot" JSONB,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,
    "lease_holder" UUID,
    "lease_until" TIMESTAMPTZ(3),
    "lease_fence" INTEGER NOT NULL DEFAULT 0,
    "summary" JSONB,

    CONSTRAINT "nodes_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "replicas" (
    "id" UUID NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "replicas_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "jobs" (
    "id" UUID NOT NULL,
    "caller" TEXT NOT NULL,
    "state" "job_state" NOT NULL,
    "containers" TEXT[],
    "requires_proof" BOOLEAN NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),
    "generation" INTEGER NOT NULL DEFAULT 1,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "deadline_at" TIMESTAMPTZ(3) NOT NULL,
    "retry_at" TIMESTAMPTZ(3),

    CONSTRAINT "jobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_requests" (
    "job_id" UUID NOT NULL,
    "body" BYTEA NOT NULL,

    CONSTRAINT "job_requests_pkey" PRIMARY KEY ("job_id")
);

-- CreateTable
CREATE TABLE "job_results" (
    "job_id" UUID NOT NULL,
    "generation" INTEGER NOT NULL DEFAULT 1,
    "result" BYTEA NOT NULL,
    "intermediate" BYTEA,

    CONSTRAINT "job_results_pkey" PRIMARY KEY ("job_id","generation")
);

-- CreateTable
CREATE TABLE "attempts" (
    "id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "node_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "generation" INTEGER NOT NULL DEFAULT 1,
    "egress_group" TEXT NOT NULL DEFAULT 'default',
    "state" "attempt_state" NOT NULL,
    "node_job_id" TEXT,
    "reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "accepted_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "attempts_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "nodes_url_key" ON "nodes"("url") WHERE (state <> 'removed');

-- CreateIndex
CREATE INDEX "jobs_caller_id_idx" ON "jobs"("caller", "id");

-- CreateIndex
CREATE INDEX "jobs_unfinished_idx" ON "jobs"("caller", "id") WHERE (finished_at IS NULL);

-- CreateIndex
CREATE INDEX "jobs_queued_idx" ON "jobs"("id") WHERE (state = 'queued');

-- CreateIndex
CREATE INDEX "jobs_retrying_idx" ON "jobs"("retry_at") WHERE (state = 'retrying');

-- CreateIndex
CREATE INDEX "jobs_failed_idx" ON "jobs"("id") WHERE (state = 'failed');

-- CreateIndex
CREATE INDEX "jobs_finished_idx" ON "jobs"("finished_at") WHERE (finished_at IS NOT NULL);

-- CreateIndex
CREATE INDEX "attempts_open_idx" ON "attempts"("node_id") WHERE (finished_at IS NULL);

-- CreateIndex
CREATE UNIQUE INDEX "attempts_job_id_number_key" ON "attempts"("job_id", "number");

-- AddForeignKey
ALTER TABLE "job_requests" ADD CONSTRAINT "job_requests_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_results" ADD CONSTRAINT "job_results_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "attempts" ADD CONSTRAINT "attempts_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
