-- CreateTable
CREATE TABLE "node_resources" (
    "node_id" UUID NOT NULL,
    "question" TEXT NOT NULL,
    "body" BYTEA NOT NULL,
    "seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "node_resources_pkey" PRIMARY KEY ("node_id","question")
);

-- CreateIndex
CREATE INDEX "node_resources_question_seen_at_idx" ON "node_resources"("question", "seen_at");

-- AddForeignKey
ALTER TABLE "node_resources" ADD CONSTRAINT "node_resources_node_id_fkey" FOREIGN KEY ("node_id") REFERENCES "nodes"("id") ON DELETE CASCADE ON UPDATE CASCADE;
