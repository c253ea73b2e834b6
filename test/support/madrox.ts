export * from "../../scripts/local-server.ts";
