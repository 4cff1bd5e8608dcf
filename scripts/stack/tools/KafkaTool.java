import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Properties;
import java.util.Queue;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * What stack.sh asks of Kafka: topics, await, capture, produce. First argument: the bootstrap servers.
 *
 * <p>A record in a file is one line of JSON: topic, partition, offset, timestamp (ms), key, value, headers. Bytes that
 * are not UTF-8 stand as base64 under the name with "_base64" appended (key_base64, value_base64, and for headers an
 * object headers_base64); absent bytes are null.
 */
public class KafkaTool {
    static final ObjectMapper JSON = new ObjectMapper();
    static String servers;

    public static void main(String[] args) throws Exception {
        servers = args[0];
        String[] rest = Arrays.copyOfRange(args, 2, args.length);
        switch (args[1]) {
            case "topics" -> topics();
            case "await" -> await(rest);
            case "capture" -> capture(Path.of(rest[0]), Arrays.copyOfRange(rest, 1, rest.length));
            case "produce" -> produce();
            default -> throw new IllegalArgumentException(args[1]);
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer() {
        Properties p = new Properties();
        p.put("bootstrap.servers", servers);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("allow.auto.create.topics", "false");
        p.put("isolation.level", "read_committed");
        p.put("max.poll.records", "5000");
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<TopicPartition> partitions(KafkaConsumer<?, ?> consumer, String topic) {
        List<PartitionInfo> infos = consumer.listTopics().getOrDefault(topic, List.of());
        return infos.stream().map(i -> new TopicPartition(topic, i.partition())).toList();
    }

    static long size(KafkaConsumer<?, ?> consumer, String topic) {
        return consumer.endOffsets(partitions(consumer, topic)).values().stream().mapToLong(Long::longValue).sum();
    }

    static void topics() {
        try (var consumer = consumer()) {
            for (String topic : new TreeSet<>(consumer.listTopics().keySet())) {
                System.out.printf("%10d %s%n", size(consumer, topic), topic);
            }
        }
    }

    /** SECONDS TOPIC=COUNT...: until each topic holds that many records. */
    static void await(String[] args) throws InterruptedException {
        long limit = System.nanoTime() + Long.parseLong(args[0]) * 1_000_000_000L;
        try (var consumer = consumer()) {
            for (int i = 1; i < args.length; i++) {
                String topic = args[i].substring(0, args[i].lastIndexOf('='));
                long want = Long.parseLong(args[i].substring(args[i].lastIndexOf('=') + 1));
                long have;
                while ((have = size(consumer, topic)) < want) {
                    if (System.nanoTime() > limit) {
                        System.err.printf("await: %s has %d of %d records%n", topic, have, want);
                        System.exit(1);
                    }
                    Thread.sleep(50);
                }
            }
        }
    }

    /** FILE TOPIC...: everything they hold, merged by timestamp; within a partition always in the order of offsets. */
    static void capture(Path file, String[] topics) throws IOException {
        Map<String, Queue<ConsumerRecord<byte[], byte[]>>> logs = new TreeMap<>();
        try (var consumer = consumer()) {
            List<TopicPartition> all = new ArrayList<>();
            for (String topic : topics) all.addAll(partitions(consumer, topic));
            all.forEach(tp -> logs.put(tp.toString(), new ArrayDeque<>()));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> end = consumer.endOffsets(all);
            while (all.stream().anyMatch(tp -> consumer.position(tp) < end.get(tp))) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    var tp = new TopicPartition(record.topic(), record.partition());
                    if (record.offset() < end.get(tp)) logs.get(tp.toString()).add(record);
                }
            }
        }
        var heads = new PriorityQueue<String>(
                Comparator.comparingLong((String tp) -> logs.get(tp).element().timestamp()).thenComparing(tp -> tp));
        logs.forEach((tp, log) -> { if (!log.isEmpty()) heads.add(tp); });
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            while (!heads.isEmpty()) {
                String tp = heads.remove();
                out.write(JSON.writeValueAsString(toJson(logs.get(tp).remove())));
                out.write('\n');
                if (!logs.get(tp).isEmpty()) heads.add(tp);
            }
        }
    }

    static ObjectNode toJson(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode o = JSON.createObjectNode();
        o.put("topic", record.topic()).put("partition", record.partition());
        o.put("offset", record.offset()).put("timestamp", record.timestamp());
        put(o, "key", record.key());
        put(o, "value", record.value());
        ObjectNode headers = o.putObject("headers"), binary = JSON.createObjectNode();
        for (Header h : record.headers()) {
            String text = utf8(h.value());
            if (text != null || h.value() == null) headers.put(h.key(), text);
            else binary.put(h.key(), h.value());
        }
        if (!binary.isEmpty()) o.set("headers_base64", binary);
        return o;
    }

    static void put(ObjectNode o, String name, byte[] bytes) {
        String text = utf8(bytes);
        if (text != null || bytes == null) o.put(name, text);
        else o.put(name + "_base64", bytes);
    }

    static String utf8(byte[] bytes) {
        if (bytes == null) return null;
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            return null;
        }
    }

    /** Records from standard input, one after the other; prints where each one went. Offset and timestamp are ignored. */
    static void produce() throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", servers);
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (String line; (line = input.readLine()) != null; ) {
                JsonNode o = JSON.readTree(line);
                var record = new ProducerRecord<>(
                        o.get("topic").asText(), o.get("partition").asInt(), bytes(o, "key"), bytes(o, "value"));
                JsonNode headers = o.path("headers");
                headers.fieldNames().forEachRemaining(name -> record.headers().add(name, bytes(headers, name)));
                JsonNode binary = o.path("headers_base64");
                binary.fieldNames().forEachRemaining(
                        name -> record.headers().add(name, Base64.getDecoder().decode(binary.get(name).asText())));
                var at = producer.send(record).get();
                System.out.printf("%s %d %d%n", at.topic(), at.partition(), at.offset());
            }
        }
    }

    static byte[] bytes(JsonNode o, String name) {
        if (o.has(name + "_base64")) return Base64.getDecoder().decode(o.get(name + "_base64").asText());
        return o.path(name).isTextual() ? o.get(name).asText().getBytes(StandardCharsets.UTF_8) : null;
    }
}
