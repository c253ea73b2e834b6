import react from "@vitejs/plugin-react";
import { defineConfig, type UserConfig } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

/** The dashboard's page. What is built lies where it is served: the files below /dashboard/assets, the page at the root. */
const dashboard: UserConfig = {
  root: "src/web/dashboard",
  plugins: [react()],
  build: {
    outDir: "../../../dist/dashboard",
    emptyOutDir: true,
    assetsDir: "dashboard/assets",
    // The page's policy allows no data: URLs for fonts and scripts.
    assetsInlineLimit: 0,
    target: "es2022",
  },
};

/** The MCP App's page, one file with everything in it, beside the dashboard's: `vite build --mode app`, after that. */
const app: UserConfig = {
  root: "src/web/mcp-app",
  plugins: [react(), viteSingleFile()],
  build: {
    outDir: "../../../dist/dashboard",
    emptyOutDir: false,
    rolldownOptions: { input: "src/web/mcp-app/app.html" },
    target: "es2022",
  },
};

export default defineConfig(({ mode }) => (mode === "app" ? app : dashboard));
