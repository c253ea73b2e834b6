export * from "../../scripts/node-server.ts";
