-- AlterTable
ALTER TABLE "nodes" ADD COLUMN     "approved" BOOLEAN NOT NULL DEFAULT true,
ADD COLUMN     "left_from" "node_state";
