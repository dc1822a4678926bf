-- CreateEnum
CREATE TYPE "subscription_state" AS ENUM ('open', 'accepted', 'refused', 'expired', 'superseded');

-- CreateEnum
CREATE TYPE "offer_state" AS ENUM ('pending', 'sending', 'accepted', 'refused', 'unreachable', 'lost', 'withdrawn');

-- CreateTable
CREATE TABLE "subscriptions" (
    "id" UUID NOT NULL,
    "caller" TEXT NOT NULL,
    "state" "subscription_state" NOT NULL,
    "owner" TEXT NOT NULL,
    "nonce" BIGINT NOT NULL,
    "redundancy" INTEGER NOT NULL,
    "form" TEXT NOT NULL,
    "containers" TEXT NOT NULL,
    "digest" BYTEA NOT NULL,
    "body" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "deadline_at" TIMESTAMPTZ(3) NOT NULL,
    "check_at" TIMESTAMPTZ(3) NOT NULL,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "subscriptions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "subscription_offers" (
    "id" UUID NOT NULL,
    "subscription_id" UUID NOT NULL,
    "node_id" UUID NOT NULL,
    "state" "offer_state" NOT NULL,
    "sends" INTEGER NOT NULL DEFAULT 0,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "fence" INTEGER NOT NULL DEFAULT 0,
    "unclear_since" TIMESTAMPTZ(3),
    "reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "sent_at" TIMESTAMPTZ(3),
    "retry_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "subscription_offers_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "subscriptions_live_idx" ON "subscriptions"("owner", "nonce", "caller") WHERE (state IN ('open', 'accepted'));

-- CreateIndex
CREATE INDEX "subscriptions_open_idx" ON "subscriptions"("check_at") WHERE (state = 'open');

-- CreateIndex
CREATE INDEX "subscriptions_finished_idx" ON "subscriptions"("finished_at") WHERE (finished_at IS NOT NULL);

-- CreateIndex
CREATE INDEX "subscription_offers_due_idx" ON "subscription_offers"("node_id") WHERE (state IN ('pending', 'sending'));

-- CreateIndex
CREATE UNIQUE INDEX "subscription_offers_subscription_id_node_id_key" ON "subscription_offers"("subscription_id", "node_id");

-- AddForeignKey
ALTER TABLE "subscription_offers" ADD CONSTRAINT "subscription_offers_subscription_id_fkey" FOREIGN KEY ("subscription_id") REFERENCES "subscriptions"("id") ON DELETE CASCADE ON UPDATE CASCADE;
