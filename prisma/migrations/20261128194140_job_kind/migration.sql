-- CreateEnum
CREATE TYPE "job_kind" AS ENUM ('job', 'stream');

-- AlterTable
ALTER TABLE "jobs" ADD COLUMN     "kind" "job_kind" NOT NULL DEFAULT 'job';
