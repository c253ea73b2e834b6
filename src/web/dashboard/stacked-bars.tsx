/**
 * Bars over time, each made of its series.
 */
import { useLayoutEffect, useRef, useState } from "react";
import type { SpendSeries } from "../shared/records.ts";
import { usd } from "../shared/wording.ts";

const HEIGHT = 260;
const LEFT = 58;
/** Room for one label below the axis. */
const LABEL = 76;
const BOTTOM = 24;
const TOP = 10;

/** A round number at or above the highest bar, and the lines below it. Pure. */
export function scale(highest: number): number[] {
  if (highest <= 0) return [0, 1];
  const magnitude = 10 ** Math.floor(Math.log10(highest));
  const step =
    [0.25, 0.5, 1, 2, 2.5].map((factor) => factor * magnitude).find((size) => highest / size <= 4) ?? 5 * magnitude;
  const lines = Math.ceil(highest / step - 1e-9);
  return Array.from({ length: lines + 1 }, (_, i) => i * step);
}

interface StackedBarsProps {
  starts: readonly string[];
  series: readonly SpendSeries[];
  /** How a bucket's start is written below the axis. */
  label: (start: string) => string;
}

export function StackedBars({ starts, series, label }: StackedBarsProps) {
  const box = useRef<SVGSVGElement>(null);
  const [width, setWidth] = useState(720);
  useLayoutEffect(() => {
    const measure = () => setWidth(Math.max(200, box.current?.clientWidth ?? 0));
    const observer = new ResizeObserver(measure);
    if (box.current) observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, []);
  const sums = starts.map((_, i) => series.reduce((sum, one) => sum + (one.points[i] ?? 0), 0));
  const lines = scale(Math.max(...sums));
  const top = lines.at(-1) ?? 1;
  const y = (value: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const slot = (width - LEFT) / starts.length;
  const every = Math.max(1, Math.ceil(LABEL / slot));
  return (
    <svg
      className="chart"
      ref={box}
      width="100%"
      height={HEIGHT}
      role="img"
      aria-label="Spending over time; the table below has the figures"
    >
      {lines.map((value) => (
        <g key={value}>
          <line className="grid" x1={LEFT} x2={width} y1={y(value)} y2={y(value)} />
          <text className="axis" x={LEFT - 8} y={y(value) + 4} textAnchor="end">
            {usd(value)}
          </text>
        </g>
      ))}
      {starts.map((start, i) => {
        let below = 0;
        return (
          <g key={start}>
            <title>{`${label(start)}: ${usd(sums[i] ?? 0)}`}</title>
            <rect className="hover" x={LEFT + i * slot} y={TOP} width={slot} height={HEIGHT - TOP - BOTTOM} />
            {series.map((one, nth) => {
              const value = one.points[i] ?? 0;
              if (value === 0) return null;
              const from = below;
              below += value;
              return (
                <rect
                  key={one.key}
                  className="part"
                  data-nth={nth % 11}
                  x={LEFT + i * slot + slot * 0.14}
                  width={slot * 0.72}
                  y={y(below)}
                  height={Math.max(0.5, y(from) - y(below))}
                />
              );
            })}
            {i % every === 0 ? (
              <text className="axis" x={LEFT + (i + 0.5) * slot} y={HEIGHT - 6} textAnchor="middle">
                {label(start)}
              </text>
            ) : null}
          </g>
        );
      })}
    </svg>
  );
}
