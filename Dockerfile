# The gateway without its embedded PostgreSQL: DATABASE_URL has to name a server.
#   docker build -t infernet-gateway .
#   docker run -p 4000:4000 -e DATABASE_URL=postgresql://… -e ADMIN_TOKEN=… infernet-gateway
# `npm run test:package` follows these steps on the host, so keep to what it knows: FROM, WORKDIR, COPY, RUN, ENV, USER,
# EXPOSE, VOLUME, LABEL, HEALTHCHECK and CMD, and no files outside /build, /app and /data.
FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# Without scripts: building comes below, when the sources are there, and no other package needs one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY nest-cli.json tsconfig.json tsconfig.build.json prisma.config.ts ./
COPY prisma ./prisma
COPY src ./src
RUN npm run generate && npm run build

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="infernet-gateway" org.opencontainers.image.licenses="MIT"
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY prisma/migrations ./prisma/migrations
COPY package.json LICENSE ./
# Holds the admin token when ADMIN_TOKEN does not give one. 1000 is the image's user `node`.
RUN mkdir -p /data && chown 1000:1000 /data
ENV NODE_ENV=production DATA_DIR=/data
VOLUME /data
USER 1000:1000
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "--eval", "fetch(`http://127.0.0.1:${process.env.PORT || 4000}/health`).then((reply) => process.exit(reply.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/cli/main.js", "start"]
