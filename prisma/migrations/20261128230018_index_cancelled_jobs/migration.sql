-- CreateIndex
CREATE INDEX "jobs_cancelled_idx" ON "jobs"("id") WHERE (state = 'cancelled');
