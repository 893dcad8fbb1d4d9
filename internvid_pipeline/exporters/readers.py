"""Which training code reads which format; light enough for the help of the command line."""

READERS = {
    "internvid-jsonl": "whatever reads OpenGVLab/InternVid (InternVid-10M-flt.jsonl): exact keys, HH:MM:SS.mmm",
    "viclip-json": "ViCLIP (InternVideo1/Pretrain), UMT multi-modality, VideoChat2 stages 1 and 2, InternVideo2 stage 2",
    "internvideo2-avs": "InternVideo2 stage 2 with audio, visual and speech captions (caption_sample_type avs_all)",
    "internvideo2-stage1-list": "InternVideo2 stage 1 (single_modality/datasets/mae.py: form single; mae_multi.py: form multi)",
    "videomae-list": "VideoMAE V2 pre-training (docs/DATASET.md, HybridVideoMAE)",
    "llava-jsonl": "LLaVA-style trainers: InternVL, InternVideo2.5 (xtuner), VideoChat-Flash: conversations with <image>, and duration",
    "videochat2-it": "VideoChat2 stage 3 (video_chat2/dataset/it_dataset.py), entry (json, root, 'video')",
    "internvid-icl": "loaders of InternVid2's interleaved schema, which skip items of fewer than 4 clips",
}
