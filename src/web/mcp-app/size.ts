/**
 * How high the view wants to be. It grows with what it shows up to a bound, beyond which it scrolls: a thousand instances must
 * not push the conversation away.
 */
import type { Host } from "./host.ts";

const HIGHEST_PX = 620;

export function reportSize(host: Host, content: HTMLElement): void {
  let told = 0;
  const tell = () => {
    const { containerDimensions: room } = host.state().context;
    // The host has fixed the height.
    if (room && "height" in room) return;
    const height = Math.min(
      Math.ceil(content.getBoundingClientRect().height),
      room?.maxHeight ?? HIGHEST_PX,
      HIGHEST_PX,
    );
    if (height === told) return;
    told = height;
    host.sendHeight(height);
  };
  new ResizeObserver(() => requestAnimationFrame(tell)).observe(content);
}
