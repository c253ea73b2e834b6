import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The dashboard's page. What is built lies where it is served: the files below /dashboard/assets, the page at the root. */
export default defineConfig({
  root: "src/dashboard",
  plugins: [react()],
  build: {
    outDir: "../../dist/dashboard",
    emptyOutDir: true,
    assetsDir: "dashboard/assets",
    // The page's policy allows no data: URLs for fonts and scripts.
    assetsInlineLimit: 0,
    target: "es2022",
  },
});
