-- CreateTable
CREATE TABLE "recorded_statuses" (
    "caller" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "state" "job_state" NOT NULL,
    "recorded_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "recorded_statuses_pkey" PRIMARY KEY ("caller","id")
);

-- CreateIndex
CREATE INDEX "recorded_statuses_recorded_at_idx" ON "recorded_statuses"("recorded_at");
