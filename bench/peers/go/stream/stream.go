// Package stream reads topics as they are now, from their beginning to their end.
package stream

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// bounds says where each partition begins and ends now.
func bounds(ctx context.Context, client *kgo.Client, topics []string, timestamp int64) (map[string]map[int32]int64, error) {
	metadata := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		wanted := kmsg.NewMetadataRequestTopic()
		wanted.Topic = kmsg.StringPtr(topic)
		metadata.Topics = append(metadata.Topics, wanted)
	}
	known, err := metadata.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	for _, topic := range known.Topics {
		wanted := kmsg.NewListOffsetsRequestTopic()
		wanted.Topic = *topic.Topic
		for _, partition := range topic.Partitions {
			place := kmsg.NewListOffsetsRequestTopicPartition()
			place.Partition, place.Timestamp = partition.Partition, timestamp
			wanted.Partitions = append(wanted.Partitions, place)
		}
		request.Topics = append(request.Topics, wanted)
	}
	offsets := map[string]map[int32]int64{}
	for _, shard := range client.RequestSharded(ctx, request) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			if offsets[topic.Topic] == nil {
				offsets[topic.Topic] = map[int32]int64{}
			}
			for _, partition := range topic.Partitions {
				offsets[topic.Topic][partition.Partition] = partition.Offset
			}
		}
	}
	return offsets, nil
}

// Whole is a client that reads the topics from their beginning, and how many records there are.
func Whole(ctx context.Context, brokers string, topics []string) (*kgo.Client, int64, error) {
	asking, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		return nil, 0, err
	}
	defer asking.Close()
	begins, err := bounds(ctx, asking, topics, -2)
	if err != nil {
		return nil, 0, err
	}
	ends, err := bounds(ctx, asking, topics, -1)
	if err != nil {
		return nil, 0, err
	}
	var left int64
	places := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range ends {
		places[topic] = map[int32]kgo.Offset{}
		for partition, end := range partitions {
			begin := begins[topic][partition]
			places[topic][partition] = kgo.NewOffset().At(begin)
			left += end - begin
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumePartitions(places))
	return client, left, err
}
