# syntax=docker/dockerfile:1

# Node 24 is a long-term support release until April 2028, and one of those that the tests run on.
ARG NODE=node:24-bookworm-slim

FROM ${NODE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# npm checks the lock file against the package.json of every workspace. The image has no workspaces.
COPY client/package.json ./client/
RUN npm ci --ignore-scripts --workspaces=false
COPY tsconfig.json ./
COPY scripts ./scripts
COPY src ./src
COPY plugins ./plugins
COPY routes ./routes
# Records of the build are no part of the service.
RUN npm run build && rm dist/.compiled.json dist/.tsbuildinfo

FROM ${NODE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
COPY client/package.json ./client/
# The only optional package is React, an optional peer of the client.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --workspaces=false

FROM ${NODE} AS runtime
LABEL org.opencontainers.image.title="Roomcast" \
  org.opencontainers.image.description="Realtime rooms for backend teams: post a message over REST, everybody in the room has it over WebSocket" \
  org.opencontainers.image.licenses="MIT"
WORKDIR /app
# Everything belongs to root and the service does not: it can write nothing, and needs to write nothing.
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DRAIN_DELAY_MS=5000
EXPOSE 3000
# The user "node", as a number so that Kubernetes can see that it is not root.
USER 1000:1000
STOPSIGNAL SIGTERM
# Is it alive? Whether it should get traffic is for load balancers to ask, at /health/ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "dist/src/health-check.js"]
# No shell and no npm in between: they would keep the signals to themselves.
CMD ["node", "dist/src/server.js"]
