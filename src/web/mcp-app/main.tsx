import "../shared/styles/tokens.css";
import "../shared/styles/controls.css";
import "../shared/styles/tree.css";
import "../shared/styles/instance.css";
import "../shared/styles/questions.css";
import "./app.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Host } from "./host.ts";
import { reportSize } from "./size.ts";
import { View } from "./view.tsx";

const root = document.getElementById("root");
if (root) {
  const host = new Host();
  createRoot(root).render(
    <StrictMode>
      <View host={host} />
    </StrictMode>,
  );
  void host.connect().then((connected) => {
    if (connected) reportSize(host, root);
  });
}
