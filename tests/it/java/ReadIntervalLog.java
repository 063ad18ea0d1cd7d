import java.io.File;
import java.util.Map;
import java.util.TreeMap;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogReader;

/** Prints of each tag of an interval log how many intervals and values there are, and what they span, as one line of JSON. */
public class ReadIntervalLog {
    private static final class Tagged {
        final Histogram all = new Histogram(3);
        int intervals;
        long firstMs = Long.MAX_VALUE;
        long lastMs;
    }

    public static void main(String[] files) throws Exception {
        Map<String, Tagged> tags = new TreeMap<>();
        HistogramLogReader reader = new HistogramLogReader(new File(files[0]));
        while (reader.hasNext()) {
            Histogram interval = (Histogram) reader.nextIntervalHistogram();
            Tagged tagged = tags.computeIfAbsent(String.valueOf(interval.getTag()), tag -> new Tagged());
            tagged.all.add(interval);
            tagged.intervals++;
            tagged.firstMs = Math.min(tagged.firstMs, interval.getStartTimeStamp());
            tagged.lastMs = Math.max(tagged.lastMs, interval.getEndTimeStamp());
        }
        reader.close();
        StringBuilder text = new StringBuilder();
        tags.forEach((tag, of) -> text.append(text.length() == 0 ? "{" : ", ").append(String.format(
            "\"%s\": {\"intervals\": %d, \"count\": %d, \"p50_us\": %d, \"max_us\": %d, \"first_ms\": %d, \"last_ms\": %d}",
            tag, of.intervals, of.all.getTotalCount(), of.all.getValueAtPercentile(50), of.all.getMaxValue(), of.firstMs, of.lastMs)));
        System.out.println(text.append("}"));
    }
}
