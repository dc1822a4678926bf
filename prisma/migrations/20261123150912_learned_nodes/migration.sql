-- AlterTable
ALTER TABLE "attempts" ADD COLUMN     "decision" JSONB;

-- AlterTable
ALTER TABLE "nodes" ADD COLUMN     "learned" JSONB;
